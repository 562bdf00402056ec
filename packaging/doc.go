// Package packaging holds what is installed beside the binary: the units of
// systemd and OpenRC's service, and the scripts that stop and remove kelp. They
// are in the binary, so that a host's are always those of its kelp: install.sh
// takes them from there, with kelp packaging DIRECTORY, and the .deb and the .rpm
// have the same files.
package packaging

import "embed"

// FS are the files.
//
//go:embed *.service *.openrc *.sh
var FS embed.FS
