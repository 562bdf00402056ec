package snapshots

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
)

// answerTimeout is how long a store may take to begin its answer. One that hangs
// costs that, and nothing else waits for it.
const answerTimeout = 30 * time.Second

// Copy is a copy of a snapshot in the object store.
type Copy struct {
	Name string    `json:"name"`
	URL  string    `json:"url"`
	Size int64     `json:"size"`
	Made time.Time `json:"made"` // the copy
}

// Bucket is where copies are.
type Bucket struct {
	client *minio.Client
	cfg    config.S3
}

// ErrNoBucket is returned where the configuration names none.
var ErrNoBucket = errors.New("there is no object store in the configuration: set s3.bucket")

// OpenBucket connects to nothing yet. The keys are those of the credentials file,
// or of the Secret that the API has; kube may be nil where there is a file.
func OpenBucket(ctx context.Context, cfg config.S3, kube func() (kubernetes.Interface, error)) (*Bucket, error) {
	if cfg.Bucket == "" {
		return nil, ErrNoBucket
	}
	keys, err := keysOf(ctx, cfg, kube)
	if err != nil {
		return nil, err
	}
	transport, err := transportOf(cfg)
	if err != nil {
		return nil, err
	}
	host, plain := strings.CutPrefix(cfg.Endpoint, "http://")
	client, err := minio.New(strings.TrimPrefix(host, "https://"), &minio.Options{
		Creds: keys, Secure: !plain, Region: cfg.Region, Transport: transport, MaxRetries: 1, // trying again is up to the caller
	})
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w", cfg.Endpoint, err)
	}
	return &Bucket{client, cfg}, nil
}

func keysOf(ctx context.Context, cfg config.S3, kube func() (kubernetes.Interface, error)) (*credentials.Credentials, error) {
	if cfg.CredentialsFile != "" {
		if _, err := os.Stat(cfg.CredentialsFile); err != nil {
			return nil, fmt.Errorf("s3.credentialsFile: %w", err)
		}
		return credentials.NewFileAWSCredentials(cfg.CredentialsFile, ""), nil
	}
	client, err := kube()
	if err != nil {
		return nil, err
	}
	secret, err := client.CoreV1().Secrets(metav1.NamespaceSystem).Get(ctx, cfg.AuthFrom, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the keys of the object store: %w", err)
	}
	id, key := strings.TrimSpace(string(secret.Data["accessKey"])), strings.TrimSpace(string(secret.Data["secretKey"]))
	if id == "" || key == "" {
		return nil, fmt.Errorf("the Secret kube-system/%s lacks accessKey or secretKey", cfg.AuthFrom)
	}
	return credentials.NewStaticV4(id, key, ""), nil
}

func transportOf(cfg config.S3) (*http.Transport, error) {
	transport, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, fmt.Errorf("connect to the object store: %w", err)
	}
	transport.ResponseHeaderTimeout = answerTimeout
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("s3.caFile: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("s3.caFile %s holds no certificate", cfg.CAFile)
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	if cfg.Proxy != "" {
		proxy, err := url.Parse(cfg.Proxy)
		if err != nil {
			return nil, errors.New("s3.proxy is not a URL") // it may hold a password
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return transport, nil
}

func (b *Bucket) key(name string) string { return path.Join(b.cfg.Folder, name) }

// URL names a copy.
func (b *Bucket) URL(name string) string { return "s3://" + b.cfg.Bucket + "/" + b.key(name) }

// Upload copies a file, and its description first: a copy without one is none.
func (b *Bucket) Upload(ctx context.Context, file, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.cfg.Timeout))
	defer cancel()
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("look at snapshot: %w", err)
	}
	for _, suffix := range []string{besides, ""} {
		opts := minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true}
		if _, err := b.client.FPutObject(ctx, b.cfg.Bucket, b.key(name+suffix), file+suffix, opts); err != nil {
			return fmt.Errorf("copy snapshot to %s: %w", b.URL(name+suffix), err)
		}
	}
	there, err := b.client.StatObject(ctx, b.cfg.Bucket, b.key(name), minio.StatObjectOptions{})
	if err != nil {
		return fmt.Errorf("look at the copy %s: %w", b.URL(name), err)
	}
	if there.Size != info.Size() {
		return fmt.Errorf("the copy %s has %d bytes, and the snapshot %d", b.URL(name), there.Size, info.Size())
	}
	return nil
}

// Download copies an object to a file, which exists when it was read from end to
// end and is whole.
func (b *Bucket) Download(ctx context.Context, name, file string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.cfg.Timeout))
	defer cancel()
	defer os.Remove(file + partial)
	if err := b.client.FGetObject(ctx, b.cfg.Bucket, b.key(name), file+partial, minio.GetObjectOptions{}); err != nil {
		return Entry{}, fmt.Errorf("copy snapshot from %s: %w", b.URL(name), err)
	}
	if err := os.Chmod(file+partial, 0o600); err != nil {
		return Entry{}, fmt.Errorf("restrict the snapshot: %w", err)
	}
	e, err := Verify(file+partial, time.Now())
	if err != nil {
		return Entry{}, err
	}
	if err := os.Rename(file+partial, file); err != nil {
		return Entry{}, fmt.Errorf("give the snapshot its name: %w", err)
	}
	return e, nil
}

// List returns the copies, the oldest first by the time in their names.
func (b *Bucket) List(ctx context.Context) ([]Copy, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(b.cfg.Timeout))
	defer cancel()
	prefix := b.key("")
	if prefix != "" {
		prefix += "/"
	}
	var list []Copy
	for o := range b.client.ListObjects(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list s3://%s/%s: %w", b.cfg.Bucket, prefix, o.Err)
		}
		if name := strings.TrimPrefix(o.Key, prefix); isSnapshot(name) {
			list = append(list, Copy{Name: name, URL: b.URL(name), Size: o.Size, Made: o.LastModified.UTC()})
		}
	}
	slices.SortFunc(list, func(a, b Copy) int { return cmp.Compare(timeIn(a.Name), timeIn(b.Name)) })
	return list, nil
}

// timeIn is the last part of a snapshot's name.
func timeIn(name string) string {
	name = objectName(name)
	return name[strings.LastIndex(name, "-")+1:]
}

// Prune deletes the oldest copies of those whose names begin so, but for as many
// as are to be kept, 0 for all.
func (b *Bucket) Prune(ctx context.Context, prefix string, keep int) error {
	list, err := b.List(ctx)
	if err != nil || keep == 0 {
		return err
	}
	list = slices.DeleteFunc(list, func(c Copy) bool {
		return !strings.HasPrefix(c.Name, prefix) || strings.Contains(strings.TrimPrefix(objectName(c.Name), prefix), "-")
	})
	for _, c := range list[:max(len(list)-keep, 0)] {
		for _, suffix := range []string{"", besides} {
			if err := b.client.RemoveObject(ctx, b.cfg.Bucket, b.key(c.Name+suffix), minio.RemoveObjectOptions{}); err != nil {
				return fmt.Errorf("delete %s: %w", c.URL, err)
			}
		}
	}
	return nil
}

// NoAPI is the answer where keys in a Secret cannot be read: kelp does not run.
func NoAPI() (kubernetes.Interface, error) {
	return nil, errors.New("the keys of the object store are in a Secret, which cannot be read while the API is down: give them with --s3-credentials-file")
}

// Fetch makes a file of s3://bucket/folder/name, in the directory of snapshots,
// with the configuration's store and keys; any other path is returned as it is.
func Fetch(ctx context.Context, cfg config.Config, file string, kube func() (kubernetes.Interface, error)) (string, error) {
	rest, remote := strings.CutPrefix(file, "s3://")
	if !remote {
		return file, nil
	}
	store := cfg.S3
	bucket, key, ok := strings.Cut(rest, "/")
	if !ok || bucket == "" || key == "" {
		return "", fmt.Errorf("%q is not like s3://bucket/folder/name", file)
	}
	store.Bucket, store.Folder = bucket, strings.TrimSuffix(path.Dir(key), ".")
	b, err := OpenBucket(ctx, store, kube)
	if err != nil {
		return "", err
	}
	dir := Dir(cfg.SnapshotDir())
	if err := dir.Make(); err != nil {
		return "", err
	}
	local := dir.Path(path.Base(key))
	_, err = b.Download(ctx, path.Base(key), local)
	return local, err
}
