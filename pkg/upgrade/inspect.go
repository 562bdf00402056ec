package upgrade

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machines are what programs say they are for, by Go's name of the architecture.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// versionWithin bounds how long a program may take to say what it is.
const versionWithin = 30 * time.Second

// Version is what a program says it is.
type Version struct {
	Kelp       string
	Kubernetes string
}

// checkMachine refuses what is no program for this machine, before it is run.
func checkMachine(path, what string) error {
	f, err := elf.Open(path)
	var format *elf.FormatError
	switch {
	case errors.As(err, &format), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s is not a program for Linux", what)
	case err != nil:
		return fmt.Errorf("look at the program: %w", err)
	}
	defer f.Close()
	if want := machines[runtime.GOARCH]; f.Machine != want {
		return fmt.Errorf("%s is for another architecture, %s, and this machine is %s", what, strings.TrimPrefix(f.Machine.String(), "EM_"), runtime.GOARCH)
	}
	return nil
}

// versionOf asks a program which kelp it is.
func versionOf(ctx context.Context, path, what string) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, versionWithin)
	defer cancel()
	command := exec.CommandContext(ctx, path, "--version")
	command.WaitDelay = time.Second
	out, err := command.Output()
	if err != nil {
		return Version{}, fmt.Errorf("%s does not say which version it is, so it is not a kelp that runs here: %w", what, err)
	}
	v, ok := parseVersion(string(out))
	if !ok {
		return Version{}, fmt.Errorf("%s is not kelp", what)
	}
	return v, nil
}

// parseVersion reads what kelp --version prints.
func parseVersion(text string) (v Version, ok bool) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "kelp":
			v.Kelp = value
		case "kubernetes":
			v.Kubernetes = value
		}
	}
	return v, v.Kelp != "" && v.Kubernetes != ""
}
