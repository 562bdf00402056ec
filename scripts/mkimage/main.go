package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/kelp-project/kelp/pkg/images/archive"
)

// certificates is where Debian keeps the authorities, and where Go looks.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var img archive.Image
	set := flag.NewFlagSet("mkimage", flag.ContinueOnError)
	out := set.String("out", "", "where to write, without an extension")
	set.StringVar(&img.Ref, "ref", "", "the image's full reference")
	set.StringVar(&img.Arch, "arch", "", "the architecture of its programs, if it is not this machine's")
	set.StringVar(&img.User, "user", "", "the numeric uid:gid that its process runs as")
	cmd := set.Bool("cmd", false, "the program is only the default, not the entry point")
	set.BoolFunc("base", "add users, /tmp and certificate authorities", func(string) error {
		files, err := base()
		img.Files = append(img.Files, files...)
		return err
	})
	set.Func("file", "add a program", func(value string) error {
		from, to, ok := strings.Cut(value, ":")
		data, err := os.ReadFile(from)
		if err != nil || !ok {
			return errors.Join(err, errors.New("want FILE:PATH"))
		}
		img.Files = append(img.Files, archive.File{Path: to, Mode: 0o755, Data: data})
		return nil
	})
	set.Func("link", "add a symbolic link", func(value string) error {
		path, target, ok := strings.Cut(value, ":")
		if !ok {
			return errors.New("want PATH:TARGET")
		}
		img.Files = append(img.Files, archive.File{Path: path, Link: target})
		return nil
	})
	if err := set.Parse(args); err != nil {
		return err
	}
	if *out == "" || img.Ref == "" || set.NArg() == 0 {
		return errors.New("-out, -ref and a program are needed")
	}
	if *cmd {
		img.Cmd = set.Args()
	} else {
		img.Entrypoint = set.Args()
	}
	return write(*out, img)
}

func write(out string, img archive.Image) error {
	var data bytes.Buffer
	digest, err := archive.Write(&data, img)
	if err != nil {
		return err
	}
	entry, err := json.Marshal(map[string]string{"ref": img.Ref, "digest": digest})
	if err != nil {
		return err
	}
	fmt.Printf("made image %s, %d KiB\n", img.Ref, data.Len()>>10)
	// The entry is written last: without it the archive is not imported.
	if err := os.WriteFile(out+".tar", data.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(out+".json", append(entry, '\n'), 0o644)
}

func base() ([]archive.File, error) {
	certs, err := os.ReadFile(certificates)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	passwd := "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group := "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"
	return []archive.File{
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Path: "/etc/group", Mode: 0o644, Data: []byte(group)},
		{Path: certificates, Mode: 0o644, Data: certs},
		{Path: "/tmp", Mode: 0o1777, Dir: true},
	}, nil
}
