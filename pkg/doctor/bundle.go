package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// Extra is what only the caller has.
type Extra struct {
	Files map[string]string // of the bundle, by name
	// Kelp is the program, which is asked for containers; empty to ask for none.
	Kelp string
}

// bundle is an archive that is written, in which no secret is.
type bundle struct {
	tar  *tar.Writer
	root string
	now  time.Time
	redactor
	err error
}

// Bundle writes an archive of all that helps somebody else to find out what is
// the matter, 0600: the evidence, what the machine says of itself, and logs.
// Every file of it goes through the redactor. The path ends with .tar.gz or
// .tar.zst.
func Bundle(ctx context.Context, path string, e Evidence, extra Extra) error {
	if _, err := compressor(io.Discard, path); err != nil {
		return err // before anything is asked
	}
	if !e.API.Answers() {
		return write(ctx, path, e, extra, clients{}, nil)
	}
	c, err := connect(e.Config, e.Server)
	if err != nil {
		return err
	}
	var secrets []string
	if e.Server {
		// What pods log may hold any of them.
		if secrets, err = c.secretValues(ctx); err != nil {
			return fmt.Errorf("learn which secrets must not be in the bundle: %w", err)
		}
	}
	return write(ctx, path, e, extra, c, secrets)
}

// write writes the archive. The clients are empty when the API does not answer;
// secrets are those of the API.
func write(ctx context.Context, path string, e Evidence, extra Extra, c clients, secrets []string) error {
	var archive bytes.Buffer
	packed, err := compressor(&archive, path)
	if err != nil {
		return err
	}
	b := &bundle{
		tar: tar.NewWriter(packed), root: "kelp-" + e.Config.Node.Name + e.Now.UTC().Format("-20060102-150405"), now: e.Now,
		redactor: newRedactor(append(localSecrets(e.Config), secrets...)),
	}
	b.evidence(e)
	for name, text := range extra.Files {
		b.add(name, text)
	}
	b.machine(ctx, e, extra.Kelp)
	if c.kube != nil && e.Server {
		b.podLogs(ctx, c, e)
	} else {
		b.logsOnDisk(e.Config)
	}
	if err := errors.Join(b.err, b.tar.Close(), packed.Close()); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return atomicfile.Write(path, archive.Bytes(), 0o600)
}

func compressor(w io.Writer, path string) (io.WriteCloser, error) {
	switch {
	case strings.HasSuffix(path, ".tar.gz"), strings.HasSuffix(path, ".tgz"):
		return gzip.NewWriter(w), nil
	case strings.HasSuffix(path, ".tar.zst"):
		return zstd.NewWriter(w)
	}
	return nil, fmt.Errorf("the bundle's name %q ends with neither .tar.gz nor .tar.zst", path)
}

// secretValues are the values of all Secrets, to be looked for. They are never
// written.
func (c clients) secretValues(ctx context.Context) ([]string, error) {
	var values []string
	opts := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := c.kube.CoreV1().Secrets("").List(ctx, opts)
		if err != nil {
			return nil, err
		}
		values = append(values, secretsOf(list.Items)...)
		if opts.Continue = list.Continue; opts.Continue == "" {
			return values, nil
		}
	}
}

// add is the only way into the archive.
func (b *bundle) add(name, text string) {
	if b.err != nil {
		return
	}
	clean := b.text(text)
	h := &tar.Header{Name: path.Join(b.root, name), Mode: 0o600, Size: int64(len(clean)), ModTime: b.now, Format: tar.FormatPAX}
	if b.err = b.tar.WriteHeader(h); b.err == nil {
		_, b.err = io.WriteString(b.tar, clean)
	}
}

// object adds a value as JSON, pruned.
func (b *bundle) object(name string, v any) {
	text, err := json.Marshal(v)
	var plain any
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	var out bytes.Buffer
	if err == nil {
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false) // a known secret is looked for as it is
		err = enc.Encode(prune(plain))
	}
	if err != nil {
		b.err = errors.Join(b.err, fmt.Errorf("render %s: %w", name, err))
		return
	}
	b.add(name, out.String())
}

// evidence is what the report was made from.
func (b *bundle) evidence(e Evidence) {
	r := Diagnose(e)
	var text bytes.Buffer
	if err := r.Print(&text); err != nil {
		b.err = errors.Join(b.err, err)
	}
	b.add("report.txt", text.String())
	b.object("report.json", r)
	b.object("status.json", e.Status)
	b.object("unit.json", e.Unit)
	b.object("certificates.json", e.Certificates)
	b.object("datastore.json", e.Store)
	b.object("api.json", e.API)
	b.object("dns.json", e.DNS)
	b.object("network.json", e.Reach)
	c := e.Cluster
	for name, list := range map[string]any{
		"nodes": c.Nodes, "pods": c.Pods, "events": c.Events, "persistentvolumeclaims": c.Claims, "storageclasses": c.Classes,
		"deployments": c.Deployments, "leases": c.Leases, "addons": c.Addons, "snapshots": c.Snapshots, "kube-dns": c.DNS, "kube-dns-endpoints": c.DNSSlices,
		"denied": c.Denied, "tunnels": c.Tunnels, "errors": c.Errs,
	} {
		b.object("objects/"+name+".json", list)
	}
	if text, err := e.Config.YAML(nil); err == nil {
		b.add("config.yaml", string(text))
	}
}

// Bounds of one container's log.
const (
	logLines = 2000
	logBytes = 1 << 20
)

// podLogs are those of kube-system.
func (b *bundle) podLogs(ctx context.Context, c clients, e Evidence) {
	lines, most := int64(logLines), int64(logBytes)
	for _, p := range e.Cluster.Pods {
		if p.Namespace != metav1.NamespaceSystem {
			continue
		}
		for _, container := range p.Spec.Containers {
			ctx, cancel := context.WithTimeout(ctx, commandTimeout)
			text, err := c.kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container.Name, TailLines: &lines, LimitBytes: &most, Timestamps: true}).DoRaw(ctx)
			cancel()
			if err != nil {
				text = fmt.Append(text, "\n", err, "\n")
			}
			b.add(path.Join("logs", p.Namespace, p.Name, container.Name+".log"), string(text))
		}
	}
}
