// Package atomicfile writes files so that a reader, or a machine that loses
// power, sees the old content or the new one and never a part: temporary
// file, fsync, rename, fsync of the directory.
package atomicfile
