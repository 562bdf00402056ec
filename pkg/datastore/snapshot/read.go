package snapshot

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/internal/records"
)

// Snapshot is a file that was read once, from its beginning to its end, and is
// whole.
type Snapshot struct {
	Metadata
	Summary
	Sealed []byte
	File   string
}

// Open reads all of a file and compares it with what it says of itself. What is
// wrong with it is a BrokenError.
func Open(file string) (*Snapshot, error) {
	s := &Snapshot{File: file}
	for _, err := range s.scan() {
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// slice is for how long OpenWithin reads between two rests, or looks at its context.
const slice = 5 * time.Millisecond

// OpenWithin is Open until ctx ends. Gently, for a datastore that is at work beside
// it, it rests for as long as it reads.
func OpenWithin(ctx context.Context, file string, gently bool) (*Snapshot, error) {
	s := &Snapshot{File: file}
	began := time.Now()
	for _, err := range s.scan() {
		if err != nil {
			return nil, err
		}
		if took := time.Since(began); took > slice {
			if gently {
				poll.Pause(ctx, took)
			}
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("read snapshot %s: %w", file, err)
			}
			began = time.Now()
		}
	}
	return s, nil
}

// Keys reads the file's keys. Of a file that is not whole, the error comes last:
// after Open only one that has changed since is not.
func (s *Snapshot) Keys() records.Keys {
	again := &Snapshot{File: s.File}
	return func(yield func(*mvccpb.KeyValue, error) bool) {
		for kv, err := range again.scan() {
			if !yield(kv, err) {
				return
			}
		}
		if again.SHA256 != s.SHA256 {
			yield(nil, s.broken("has changed while it was read"))
		}
	}
}

func (s *Snapshot) broken(format string, args ...any) error {
	return &BrokenError{File: s.File, Reason: fmt.Sprintf(format, args...)}
}

func (s *Snapshot) unreadable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return s.broken("was cut short")
	}
	return s.broken("cannot be read: %v", err)
}

// scan reads the file from its beginning to its end, and fills in what it says.
func (s *Snapshot) scan() records.Keys {
	return func(yield func(*mvccpb.KeyValue, error) bool) {
		f, err := os.Open(s.File)
		if err != nil {
			yield(nil, fmt.Errorf("open snapshot: %w", err))
			return
		}
		defer f.Close()
		plain, done, err := s.decompress(f)
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		if err := s.entries(tar.NewReader(plain), yield); err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// errEnough says that nobody wants more keys.
var errEnough = errors.New("enough")

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

func (s *Snapshot) decompress(f *os.File) (io.Reader, func(), error) {
	buffered := bufio.NewReader(f)
	head, err := buffered.Peek(len(zstdMagic))
	switch {
	case errors.Is(err, io.EOF) && len(head) == 0:
		return nil, nil, s.broken("is empty")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, nil, fmt.Errorf("read snapshot %s: %w", s.File, err)
	case !bytes.Equal(head, zstdMagic):
		return buffered, func() {}, nil
	}
	z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, nil, fmt.Errorf("decompress snapshot %s: %w", s.File, err)
	}
	return z, z.Close, nil
}

func (s *Snapshot) entries(r *tar.Reader, yield func(*mvccpb.KeyValue, error) bool) error {
	sum := sha256.New()
	var have Summary
	for n := 0; ; n++ {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return s.broken("was cut short: it has no end")
		}
		if err != nil {
			return s.unreadable(err)
		}
		if head.Size > maxEntry {
			return s.broken("has an entry %q of %d bytes", head.Name, head.Size)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return s.unreadable(err)
		}
		if (head.Name == metadataEntry) != (n == 0) {
			return s.broken("is no snapshot of kelp's: it begins with %q", head.Name)
		}
		if head.Name == summaryEntry {
			return s.end(r, content, have, sum)
		}
		sum.Write([]byte(head.Name))
		sum.Write(content)
		switch {
		case head.Name == metadataEntry:
			err = s.begin(content)
		case head.Name == sealedEntry:
			s.Sealed = content
		case strings.HasPrefix(head.Name, pagePrefix):
			err = s.page(content, &have, yield)
		default:
			err = s.broken("has an entry %q, which this version does not know", head.Name)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Snapshot) begin(content []byte) error {
	var version struct {
		Format int    `json:"format"`
		Kelp   string `json:"kelp"`
	}
	if err := json.Unmarshal(content, &version); err != nil {
		return s.broken("has metadata that cannot be read: %v", err)
	}
	if version.Format > Format {
		return s.broken("was written by kelp %s in a form (%d) that is newer than what this kelp reads (%d): use that version", version.Kelp, version.Format, Format)
	}
	if err := json.Unmarshal(content, &s.Metadata); err != nil {
		return s.broken("has metadata that cannot be read: %v", err)
	}
	return nil
}

func (s *Snapshot) page(content []byte, have *Summary, yield func(*mvccpb.KeyValue, error) bool) error {
	r := bytes.NewReader(content)
	for r.Len() > 0 {
		kv := &mvccpb.KeyValue{}
		if err := (protodelim.UnmarshalOptions{MaxSize: maxEntry}).UnmarshalFrom(r, kv); err != nil {
			return s.broken("has a key that cannot be read: %v", err)
		}
		have.Keys++
		have.Revision = max(have.Revision, kv.ModRevision) // so far
		have.Bytes += int64(len(kv.Key) + len(kv.Value))
		if !yield(kv, nil) {
			return errEnough
		}
	}
	return nil
}

// end compares what the file says of itself with what was read.
func (s *Snapshot) end(r *tar.Reader, content []byte, have Summary, sum hash.Hash) error {
	if err := json.Unmarshal(content, &s.Summary); err != nil {
		return s.broken("has a summary that cannot be read: %v", err)
	}
	sum.Write(strconv.AppendInt(nil, s.Revision, 10))
	have.SHA256 = hex.EncodeToString(sum.Sum(nil))
	newest := have.Revision
	have.Revision = s.Revision
	if have != s.Summary || newest > s.Revision {
		return s.broken("is damaged: it has %d keys with hash %.12s…, and should have %d with %.12s…", have.Keys, have.SHA256, s.Summary.Keys, s.SHA256)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return s.broken("has something after its end")
	}
	return nil
}
