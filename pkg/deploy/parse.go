package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// maxFile bounds what is read as a manifest: etcd takes objects of 1.5 MB, and
// nobody writes a file of fifty of those by intent.
const maxFile = 64 << 20

// Document is one object of a file and where it stands in it.
type Document struct {
	Object *unstructured.Unstructured
	Number int // from 1
	Line   int // from 1, of the document's first line
}

// Parse reads all objects of a manifest, JSON or YAML, lists included. It
// returns what it could read, and every problem with document and line.
func Parse(name string, data []byte) ([]Document, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: is not UTF-8 text", name)
	}
	var docs []Document
	var problems []error
	for i, part := range split(string(data)) {
		objects, err := parseDocument(part.text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: document %d, line %d: %w", name, i+1, part.line, shift(err, part.line-1)))
		}
		for _, o := range objects {
			docs = append(docs, Document{Object: o, Number: i + 1, Line: part.line})
		}
	}
	return docs, errors.Join(problems...)
}

type part struct {
	text string
	line int
}

// split cuts a stream of documents at its separators and leaves out what is
// empty or only comments. Lines are counted over the whole file.
func split(text string) []part {
	var parts []part
	var current strings.Builder
	first, blank := 0, true
	flush := func() {
		if !blank {
			parts = append(parts, part{current.String(), first})
		}
		current.Reset()
		first, blank = 0, true
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimRight(line, "\r\n")
		if trimmed == "---" || strings.HasPrefix(trimmed, "--- ") {
			flush()
			continue
		}
		if content := strings.TrimSpace(trimmed); blank && content != "" && !strings.HasPrefix(content, "#") {
			first, blank = number, false
		}
		if !blank {
			current.WriteString(trimmed + "\n")
		}
	}
	flush()
	return parts
}

func parseDocument(text string) ([]*unstructured.Unstructured, error) {
	content := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &content); err != nil {
		if strings.Contains(err.Error(), "into Go value of type map[string]interface {}") {
			return nil, errors.New("is not an object with apiVersion, kind and metadata")
		}
		return nil, err
	}
	o := &unstructured.Unstructured{Object: content}
	if o.IsList() {
		list, err := o.ToList()
		if err != nil {
			return nil, fmt.Errorf("read list: %w", err)
		}
		var objects []*unstructured.Unstructured
		var problems []error
		for i := range list.Items {
			if err := checkObject(&list.Items[i]); err != nil {
				problems = append(problems, fmt.Errorf("item %d: %w", i+1, err))
				continue
			}
			objects = append(objects, &list.Items[i])
		}
		return objects, errors.Join(problems...)
	}
	if err := checkObject(o); err != nil {
		return nil, err
	}
	return []*unstructured.Unstructured{o}, nil
}

// checkObject refuses what could not be applied, or not twice.
func checkObject(o *unstructured.Unstructured) error {
	switch {
	case o.GetAPIVersion() == "":
		return errors.New("apiVersion is missing")
	case o.GetKind() == "":
		return errors.New("kind is missing")
	case o.GetName() == "" && o.GetGenerateName() != "":
		return fmt.Errorf("%s has generateName: each time it is applied would make another one; give it a name", o.GetKind())
	case !nameIsText(o):
		return fmt.Errorf("%s's metadata.name is not a text: put it in quotes", o.GetKind())
	case o.GetName() == "":
		return fmt.Errorf("%s has no metadata.name", o.GetKind())
	}
	return nil
}

// nameIsText is false for y, on, 1 and their like, which YAML takes for other
// things than texts.
func nameIsText(o *unstructured.Unstructured) bool {
	metadata, ok := o.Object["metadata"].(map[string]any)
	if !ok || metadata["name"] == nil {
		return true
	}
	_, ok = metadata["name"].(string)
	return ok
}

var lineNumber = regexp.MustCompile(`\bline (\d+)`)

// shift adds to the line numbers in a parser's message, which counts from the
// document's beginning, and takes away the words that repeat what stands
// before it.
func shift(err error, by int) error {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = lineNumber.ReplaceAllStringFunc(text, func(m string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(m, "line "))
		return "line " + strconv.Itoa(n+by)
	})
	return errors.New(strings.ReplaceAll(text, "\n", " "))
}
