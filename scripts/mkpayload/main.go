package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kelp-project/kelp/pkg/payload/bundle"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mkpayload:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: mkpayload OUTPUT-DIRECTORY DIRECTORY…")
	}
	for _, dir := range args[1:] {
		set, err := bundle.Pack(dir, filepath.Base(dir), args[0])
		if err != nil {
			return err
		}
		fmt.Printf("packed %d programs, %d KiB, into %s\n", len(set.Files), set.Size()>>10, set.Name)
	}
	return nil
}
