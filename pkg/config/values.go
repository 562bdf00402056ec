package config

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LogLevel is the lowest level that is logged.
type LogLevel string

// LogFormat is the form of a log line.
type LogFormat string

// NetworkBackend is how pods' packets get from node to node.
type NetworkBackend string

// DatastoreKind is which datastore keeps the cluster's objects.
type DatastoreKind string

// Snapshotter is which of containerd's snapshotters holds images' layers.
type Snapshotter string

// The values of the enumerations. An empty value is not valid.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"

	LogText LogFormat = "text"
	LogJSON LogFormat = "json"

	BackendVXLAN     NetworkBackend = "vxlan"
	BackendHostGW    NetworkBackend = "host-gw"
	BackendWireGuard NetworkBackend = "wireguard-native"
	BackendNone      NetworkBackend = "none"

	DatastoreAuto     DatastoreKind = "auto"
	DatastoreSQLite   DatastoreKind = "sqlite"
	DatastoreEtcd     DatastoreKind = "etcd"
	DatastoreExternal DatastoreKind = "external"

	SnapshotterOverlayFS Snapshotter = "overlayfs"
	SnapshotterNative    Snapshotter = "native"
)

// Values are debug, info, warn and error.
func (LogLevel) Values() []string { return names(LogDebug, LogInfo, LogWarn, LogError) }

// Values are text and json.
func (LogFormat) Values() []string { return names(LogText, LogJSON) }

// Values are the backends that flannel has here, and none.
func (NetworkBackend) Values() []string {
	return names(BackendVXLAN, BackendHostGW, BackendWireGuard, BackendNone)
}

// Values are auto, sqlite, etcd and external.
func (DatastoreKind) Values() []string {
	return names(DatastoreAuto, DatastoreSQLite, DatastoreEtcd, DatastoreExternal)
}

// Values are overlayfs and native.
func (Snapshotter) Values() []string { return names(SnapshotterOverlayFS, SnapshotterNative) }

// UnmarshalText accepts one of Values.
func (l *LogLevel) UnmarshalText(text []byte) error { return enum(l, text) }

// UnmarshalText accepts one of Values.
func (f *LogFormat) UnmarshalText(text []byte) error { return enum(f, text) }

// UnmarshalText accepts one of Values.
func (b *NetworkBackend) UnmarshalText(text []byte) error { return enum(b, text) }

// UnmarshalText accepts one of Values.
func (k *DatastoreKind) UnmarshalText(text []byte) error { return enum(k, text) }

// UnmarshalText accepts one of Values.
func (s *Snapshotter) UnmarshalText(text []byte) error { return enum(s, text) }

// enumeration is a string of which only some values are allowed.
type enumeration interface {
	~string
	Values() []string
}

func names[T ~string](values ...T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

func enum[T enumeration](dst *T, text []byte) error {
	values := (*dst).Values()
	if !slices.Contains(values, string(text)) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(values, ", "))
	}
	*dst = T(text)
	return nil
}

// PortRange is a range of ports, both ends included, written as 30000-32767.
type PortRange struct{ First, Last uint16 }

// MarshalText writes the range as first-last.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String is the range as first-last.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// UnmarshalText reads first-last.
func (r *PortRange) UnmarshalText(text []byte) error {
	first, last, ok := strings.Cut(string(text), "-")
	lo, errLo := strconv.ParseUint(first, 10, 16)
	hi, errHi := strconv.ParseUint(last, 10, 16)
	if !ok || errLo != nil || errHi != nil || lo == 0 || hi < lo {
		return fmt.Errorf("%q is not a range of ports such as 30000-32767", text)
	}
	*r = PortRange{First: uint16(lo), Last: uint16(hi)}
	return nil
}

// FileMode is a file's permission bits, written in octal.
type FileMode fs.FileMode

// MarshalText writes the mode in octal, four digits.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// UnmarshalText reads an octal mode such as 0600 or 600.
func (m *FileMode) UnmarshalText(text []byte) error {
	bits, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || bits > 0o777 {
		return fmt.Errorf("%q is not a file mode such as 0600", text)
	}
	*m = FileMode(bits)
	return nil
}

// Duration is a length of time, written as 5m or 1h30m.
type Duration time.Duration

// MarshalText writes the duration without parts that are zero.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the duration without parts that are zero: 5m, and not 5m0s.
func (d Duration) String() string {
	text := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// UnmarshalText reads a positive duration such as 5m.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a length of time such as 5m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}
