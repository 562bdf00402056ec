package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/kelp-project/kelp/packaging"
	"github.com/kelp-project/kelp/pkg/version"
)

// packagingCommand is for install.sh and whoever packages kelp.
func packagingCommand() *cli.Command {
	return &cli.Command{
		Name: "packaging", Usage: "write the files that are installed beside kelp, such as its units for systemd, into a directory", ArgsUsage: "DIRECTORY",
		Description: "The directory has to exist. A file named version, with kelp's version, is written, too.",
		Action: func(c *cli.Context) error {
			if c.Args().Len() != 1 {
				return hinted{errors.New("kelp packaging takes one directory"), "kelp packaging ."}
			}
			return unpack(packaging.FS, c.Args().First())
		},
	}
}

// unpack writes the files into a directory, scripts so that they can be run.
func unpack(files fs.FS, dir string) error {
	names, err := fs.Glob(files, "*")
	if err != nil {
		return fmt.Errorf("list the packaged files: %w", err)
	}
	texts := map[string]string{"version": version.Version + "\n"}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("read a packaged file: %w", err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			return fmt.Errorf("write a packaged file: %w", err)
		}
	}
	return nil
}
