package upgrade

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// source is where a program comes from.
type source struct {
	file  string   // its path, absolute, or
	url   *url.URL // its URL
	named bool     // what was given names the program itself
}

// parseSource reads FILE or URL. A URL that does not name a program is a directory
// as make dist makes it, and the program is this architecture's in it.
func parseSource(text, arch string) (source, error) {
	if !strings.Contains(text, "://") {
		file, err := filepath.Abs(text)
		if err != nil {
			return source{}, fmt.Errorf("find %s: %w", text, err)
		}
		return source{file: file, named: true}, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return source{}, fmt.Errorf("read the address of the program: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return source{}, fmt.Errorf("%s is no address that a program can be fetched from: give a file, or a URL with http or https", text)
	}
	base := path.Base(u.Path)
	named := !strings.HasSuffix(u.Path, "/") && (base == "kelp" || strings.HasPrefix(base, "kelp-") || isSum(base))
	if !named {
		u = u.JoinPath("kelp-" + arch)
	}
	return source{url: u, named: named}, nil
}

// name is the file's, without directories.
func (s source) name() string {
	if s.url != nil {
		return path.Base(s.url.Path)
	}
	return filepath.Base(s.file)
}

// beside is the source with something added to its name, or in place of the name.
func (s source) beside(suffix string) source { return s.sibling(s.name() + suffix) }

func (s source) sibling(name string) source {
	if s.url == nil {
		return source{file: filepath.Join(filepath.Dir(s.file), name)}
	}
	return source{url: s.url.JoinPath("..", name)}
}

// String is the path or the URL, without what it may have of a password.
func (s source) String() string {
	if s.url != nil {
		return s.url.Redacted()
	}
	return s.file
}
