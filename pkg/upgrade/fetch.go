package upgrade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"
)

const (
	// maxProgram is several times what a kelp has; no more is fetched.
	maxProgram = 1 << 30
	// maxText bounds checksums and signatures.
	maxText = 1 << 20
	// fetchWithin bounds a download: 200 MB on a line of 2 Mbit/s.
	fetchWithin = 15 * time.Minute
)

// open opens what is at the source. The size is -1 where it is not known.
func (s source) open(ctx context.Context, client *http.Client) (io.ReadCloser, int64, error) {
	if s.url == nil {
		f, err := os.Open(s.file)
		if err != nil {
			return nil, 0, fmt.Errorf("open the program: %w", err)
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a file", s.file)
		}
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, info.Size(), nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch %s: %w", s, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch %s: %w", s, err)
	}
	switch res.StatusCode {
	case http.StatusOK:
		return res.Body, res.ContentLength, nil
	case http.StatusNotFound:
		err = fs.ErrNotExist
	default:
		err = errors.New(res.Status)
	}
	return nil, 0, errors.Join(fmt.Errorf("fetch %s: %w", s, err), res.Body.Close())
}

// text reads something small.
func (s source) text(ctx context.Context, client *http.Client) ([]byte, error) {
	body, _, err := s.open(ctx, client)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxText))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s, err)
	}
	return text, nil
}

// copyTo writes the program to a new file, and has it on the disk. It returns the
// program's SHA-256.
func copyTo(path string, body io.Reader, size int64) (sum string, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // one may still run
		return "", fmt.Errorf("write the program: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return "", fmt.Errorf("write the program: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(body, maxProgram+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("write the program to %s: %w", path, err)
	case n > maxProgram:
		return "", fmt.Errorf("the program is larger than %d MB: it is no kelp", maxProgram>>20)
	case size >= 0 && n != size:
		return "", fmt.Errorf("the program was cut short: %d bytes came of %d", n, size)
	}
	if err := errors.Join(f.Chmod(0o755), f.Sync()); err != nil {
		return "", fmt.Errorf("write the program to %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
