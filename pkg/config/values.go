package config

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
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

	DatastoreAuto   DatastoreKind = "auto"
	DatastoreSQLite DatastoreKind = "sqlite"
	DatastoreEtcd   DatastoreKind = "etcd"

	SnapshotterOverlayFS Snapshotter = "overlayfs"
	SnapshotterNative    Snapshotter = "native"
)

// UnmarshalText accepts debug, info, warn and error.
func (l *LogLevel) UnmarshalText(text []byte) error {
	return enum(l, text, LogDebug, LogInfo, LogWarn, LogError)
}

// UnmarshalText accepts text and json.
func (f *LogFormat) UnmarshalText(text []byte) error { return enum(f, text, LogText, LogJSON) }

// UnmarshalText accepts the backends that flannel has here, and none.
func (b *NetworkBackend) UnmarshalText(text []byte) error {
	return enum(b, text, BackendVXLAN, BackendHostGW, BackendWireGuard, BackendNone)
}

// UnmarshalText accepts auto, sqlite and etcd.
func (k *DatastoreKind) UnmarshalText(text []byte) error {
	return enum(k, text, DatastoreAuto, DatastoreSQLite, DatastoreEtcd)
}

// UnmarshalText accepts overlayfs and native.
func (s *Snapshotter) UnmarshalText(text []byte) error {
	return enum(s, text, SnapshotterOverlayFS, SnapshotterNative)
}

func enum[T ~string](dst *T, text []byte, allowed ...T) error {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		if string(a) == string(text) {
			*dst = a
			return nil
		}
		names[i] = string(a)
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
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

// MarshalText writes the mode in octal with a leading zero.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0%o", uint32(m)), nil }

// UnmarshalText reads an octal mode such as 0600 or 600.
func (m *FileMode) UnmarshalText(text []byte) error {
	bits, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || bits > 0o777 {
		return fmt.Errorf("%q is not a file mode such as 0600", text)
	}
	*m = FileMode(bits)
	return nil
}
