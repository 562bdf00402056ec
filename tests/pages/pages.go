package pages

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Block is a code block of a page.
type Block struct {
	// Page is the file that it was read from, and Line the one of its fence.
	Page string
	Line int
	// Language is what the fence says, or empty.
	Language string
	// Test is the test that runs the block, and Name what it calls it. Both are
	// empty, or neither is.
	Test, Name string
	// NotRun is why no test runs it.
	NotRun string
	// Text is what is between the fences, with a newline at its end.
	Text string
}

// At is where the block begins, as compilers say it.
func (b Block) At() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

var (
	fence  = regexp.MustCompile("^(\\s*)(```+)\\s*(\\S*)\\s*$")
	tested = regexp.MustCompile(`^\s*<!-- test: (Test\w+) (\S+) -->\s*$`)
	notRun = regexp.MustCompile(`^\s*<!-- not run: (\S.*\S) -->\s*$`)
)

// Read returns the blocks of a page. A block that does not end is an error.
func Read(file string) ([]Block, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a page: %w", err)
	}
	blocks, err := Parse(string(text))
	for i := range blocks {
		blocks[i].Page = file
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return blocks, nil
}

// Parse is Read for a text.
func Parse(text string) ([]Block, error) {
	var blocks []Block
	open := "" // the fence that ends the last block
	above, number := "", 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		m := fence.FindStringSubmatch(line)
		switch {
		case open != "" && m != nil && m[2] == open && m[3] == "":
			open = ""
		case open != "":
			blocks[len(blocks)-1].Text += line + "\n"
		case m != nil:
			open = m[2]
			blocks = append(blocks, block(above, m[3], number))
		}
		above = line
	}
	if open != "" {
		return nil, fmt.Errorf("the code block of line %d does not end", blocks[len(blocks)-1].Line)
	}
	return blocks, nil
}

func block(above, language string, line int) Block {
	b := Block{Line: line, Language: language}
	if m := tested.FindStringSubmatch(above); m != nil {
		b.Test, b.Name = m[1], m[2]
	}
	if m := notRun.FindStringSubmatch(above); m != nil {
		b.NotRun = m[1]
	}
	return b
}

// Find returns the block that tests know by the name.
func Find(blocks []Block, name string) (Block, error) {
	for _, b := range blocks {
		if b.Name == name {
			return b, nil
		}
	}
	return Block{}, fmt.Errorf("no block is named %q in a comment above it", name)
}
