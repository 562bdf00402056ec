package snapshot

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/kelp-project/kelp/pkg/internal/records"
)

// Write writes a snapshot of what the source holds now. Sealed is what a new
// machine needs beside the keys.
func Write(ctx context.Context, to io.Writer, compress bool, m Metadata, sealed []byte, from records.Source) (Summary, error) {
	if !compress {
		return write(ctx, to, m, sealed, from)
	}
	z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return Summary{}, fmt.Errorf("compress: %w", err)
	}
	s, err := write(ctx, z, m, sealed, from)
	if err := errors.Join(err, z.Close()); err != nil {
		return Summary{}, err
	}
	return s, nil
}

func write(ctx context.Context, to io.Writer, m Metadata, sealed []byte, from records.Source) (Summary, error) {
	w := &writer{tar: tar.NewWriter(to), sum: sha256.New()}
	m.Format = Format
	head, err := json.Marshal(m)
	if err != nil {
		return Summary{}, fmt.Errorf("encode metadata: %w", err)
	}
	if err := errors.Join(w.entry(metadataEntry, head), w.entry(sealedEntry, sealed)); err != nil {
		return Summary{}, err
	}
	var s Summary
	var page bytes.Buffer
	if err := records.Pages(ctx, from, func(revision int64, keys []*mvccpb.KeyValue) error {
		for _, kv := range keys {
			if _, err := protodelim.MarshalTo(&page, kv); err != nil {
				return fmt.Errorf("encode key %q: %w", kv.Key, err)
			}
			s.Bytes += int64(len(kv.Key) + len(kv.Value))
			if page.Len() >= pageBytes {
				if err := w.page(&page); err != nil {
					return err
				}
			}
		}
		s.Revision = revision
		s.Keys += len(keys)
		return w.page(&page)
	}); err != nil {
		return Summary{}, err
	}
	w.sum.Write(strconv.AppendInt(nil, s.Revision, 10))
	s.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	tail, err := json.Marshal(s)
	if err != nil {
		return Summary{}, fmt.Errorf("encode summary: %w", err)
	}
	if err := errors.Join(w.entry(summaryEntry, tail), w.tar.Close()); err != nil {
		return Summary{}, err
	}
	return s, nil
}

type writer struct {
	tar   *tar.Writer
	sum   hash.Hash // of names and contents
	pages int
}

// page writes what has come together, if something has.
func (w *writer) page(content *bytes.Buffer) error {
	if content.Len() == 0 {
		return nil
	}
	defer content.Reset()
	w.pages++
	return w.entry(fmt.Sprintf("%s%08d", pagePrefix, w.pages), content.Bytes())
}

func (w *writer) entry(name string, content []byte) error {
	w.sum.Write([]byte(name))
	w.sum.Write(content)
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := w.tar.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
