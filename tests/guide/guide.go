package guide

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed testdata
var blocks embed.FS

// Names are the blocks' names, sorted.
func Names() []string {
	entries, err := blocks.ReadDir("testdata")
	if err != nil {
		panic(err) // impossible: the directory is in this binary
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Block is one block as the guide has it.
func Block(name string) string {
	text, err := blocks.ReadFile("testdata/" + name)
	if err != nil {
		panic(err) // a name that this package does not have
	}
	return string(text)
}

// Without is a text without the lines that hold one of the words. Each word has to be
// in it, so that nothing is left out by mistake.
func Without(text string, words ...string) string {
	for _, word := range words {
		kept := ""
		for line := range strings.Lines(text) {
			if !strings.Contains(line, word) {
				kept += line
			}
		}
		if kept == text {
			panic(fmt.Sprintf("no line of the block holds %q", word))
		}
		text = kept
	}
	return text
}

// Command is the command of the container in a block that is a Pod: the name of a
// component and its flags.
func Command(name string) []string {
	var pod struct {
		Spec struct {
			Containers []struct {
				Command []string `yaml:"command"`
			} `yaml:"containers"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal([]byte(Block(name)), &pod); err != nil || len(pod.Spec.Containers) != 1 {
		panic(fmt.Sprintf("%s is not a Pod with one container: %v", name, err))
	}
	return pod.Spec.Containers[0].Command
}

// Keep is a command without the flags, each of which it has to have.
func Keep(command []string, without ...string) []string {
	left := slices.DeleteFunc(slices.Clone(command), func(arg string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		return slices.Contains(without, name)
	})
	if len(left)+len(without) != len(command) {
		panic(fmt.Sprintf("%d flags are left out of %d, and %d were named", len(command)-len(left), len(command), len(without)))
	}
	return left
}
