package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// redacted is what every printer shows in place of a secret.
const redacted = "(redacted)"

// kindOf names the kind of a Go type, and what it allows if it is an
// enumeration. A type that is not listed here cannot be a setting.
func kindOf(t reflect.Type) (Kind, []string) {
	switch v := reflect.New(t).Elem().Interface().(type) {
	case string:
		return KindString, nil
	case bool:
		return KindBool, nil
	case int:
		return KindCount, nil
	case uint16:
		return KindPort, nil
	case netip.Addr:
		return KindAddress, nil
	case netip.Prefix:
		return KindPrefix, nil
	case PortRange:
		return KindRange, nil
	case FileMode:
		return KindMode, nil
	case Duration:
		return KindTime, nil
	case interface{ Values() []string }:
		return KindEnum, v.Values()
	}
	panic("config: no kind for " + t.String()) // impossible: a test builds the table
}

// parse reads text as one value of type t.
func parse(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	switch dst := v.Addr().Interface().(type) {
	case *string:
		*dst = text
	case *bool:
		if text != "true" && text != "false" {
			return v, fmt.Errorf("%q is not true or false", text)
		}
		*dst = text == "true"
	case *int:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return v, fmt.Errorf("%q is not a number from 0 on", text)
		}
		*dst = int(n)
	case *uint16:
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return v, fmt.Errorf("%q is not a port between 1 and 65535", text)
		}
		*dst = uint16(n)
	case *netip.Addr:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return v, fmt.Errorf("%q is not an IP address", text)
		}
		*dst = a.Unmap()
	case *netip.Prefix:
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return v, fmt.Errorf("%q is not a range of addresses such as 10.42.0.0/16", text)
		}
		if p != p.Masked() {
			return v, fmt.Errorf("%q has bits set after the prefix; did you mean %s?", text, p.Masked())
		}
		*dst = p
	case encoding.TextUnmarshaler:
		if err := dst.UnmarshalText([]byte(text)); err != nil {
			return v, err
		}
	}
	return v, nil
}

// parseAll reads texts into a value of the field's type: exactly one text for
// a single value, any number for a list.
func (f Field) parseAll(texts []string) (reflect.Value, error) {
	t := reflect.TypeFor[Config]().FieldByIndex(f.position).Type
	if !f.List {
		if len(texts) != 1 {
			return reflect.Value{}, fmt.Errorf("takes one value, not %d", len(texts))
		}
		return parse(t, texts[0])
	}
	list := reflect.MakeSlice(t, 0, len(texts))
	for _, text := range texts {
		if text == "" {
			return reflect.Value{}, errors.New("has an empty value in its list")
		}
		v, err := parse(t.Elem(), text)
		if err != nil {
			return reflect.Value{}, err
		}
		list = reflect.Append(list, v)
	}
	return list, nil
}

// split cuts one text from a flag or a YAML scalar into a list's values.
func (f Field) split(text string) []string {
	switch {
	case !f.List:
		return []string{text}
	case strings.TrimSpace(text) == "":
		return nil
	case f.Commas:
		return []string{text}
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Strings are the field's values in c as text, secrets redacted: one for a
// single value, none for an empty list or an address that is not set.
func (f Field) Strings(c Config) []string {
	if f.Secret && !f.value(&c).IsZero() {
		return []string{redacted}
	}
	return f.plain(c)
}

// plain are the field's values as text, secrets in clear.
func (f Field) plain(c Config) []string {
	v := f.value(&c)
	if !f.List {
		if v.IsZero() && f.Kind == KindAddress {
			return nil
		}
		return []string{format(v)}
	}
	list := make([]string, v.Len())
	for i := range list {
		list[i] = format(v.Index(i))
	}
	return list
}

func (f Field) value(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(f.position)
}

func format(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v.Interface())
}
