package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// commandTimeout bounds one command.
const commandTimeout = 15 * time.Second

// unitFacts are what is told of the unit: not its environment.
const unitFacts = "FragmentPath,DropInPaths,ActiveState,SubState,Result,NRestarts,ExecMainStartTimestamp,ExecMainStatus,MemoryCurrent,TasksCurrent,LimitNOFILE"

// mostOutput is how many bytes of a command's output are kept: the end.
const mostOutput = 8 << 20

// machine is what this machine says of itself.
func (b *bundle) machine(ctx context.Context, e Evidence, kelp string) {
	for _, path := range []string{"/etc/os-release", "/proc/version", "/proc/cmdline", "/proc/meminfo", "/proc/loadavg", "/proc/self/mountinfo", "/proc/sys/fs/file-nr"} {
		text, err := os.ReadFile(path)
		if err != nil {
			text = fmt.Append(nil, err, "\n")
		}
		b.add("machine/"+strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "-"), string(text))
	}
	for name, command := range commands(e, kelp) {
		b.add("machine/"+name+".txt", output(ctx, command))
	}
}

// commands are what is asked of the machine. Processes are listed without their
// arguments, in which people put passwords.
func commands(e Evidence, kelp string) map[string][]string {
	list := map[string][]string{
		"disk":       {"df", "-hT"},
		"inodes":     {"df", "-i"},
		"usage":      {"du", "-xh", "-d", "2", e.Config.DataDir},
		"addresses":  {"ip", "-d", "address"},
		"routes":     {"ip", "route", "show", "table", "all"},
		"routes6":    {"ip", "-6", "route"},
		"rules":      {"ip", "rule"},
		"neighbours": {"ip", "neighbour"},
		"nft":        {"nft", "list", "ruleset"},
		"iptables":   {"iptables-save"},
		"sockets":    {"ss", "-tulpn"},
		"processes":  {"ps", "-eo", "pid,ppid,rss,pcpu,etime,stat,comm"},
		"kernel":     {"journalctl", "--dmesg", "--lines=500", "--no-pager"},
		"time":       {"timedatectl"},
	}
	if kelp != "" {
		list["containers"] = []string{kelp, "crictl", "ps", "-a"}
		list["sandboxes"] = []string{kelp, "crictl", "pods"}
		list["images"] = []string{kelp, "crictl", "images"}
	}
	if e.Unit.Name != "" {
		list["journal"] = []string{"journalctl", "--unit=" + e.Unit.Name, "--lines=5000", "--no-pager", "--output=short-precise"}
		list["unit"] = []string{"systemctl", "show", e.Unit.Name, "--property=" + unitFacts}
	}
	return list
}

// output is what a command says, or why it does not.
func output(ctx context.Context, command []string) string {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	text = text[max(0, len(text)-mostOutput):]
	if err != nil {
		return fmt.Sprintf("%s%s: %v\n", text, strings.Join(command, " "), err)
	}
	return string(text)
}

// podLogDir is where the kubelet has containers' output.
const podLogDir = "/var/log/pods"

// logsOnDisk are the logs of this machine's pods in kube-system, for the time when
// the API cannot be asked for them, and for agents, which may not ask.
func (b *bundle) logsOnDisk(cfg config.Config) {
	if cfg.Components.DisableAgent {
		return
	}
	files, err := filepath.Glob(filepath.Join(podLogDir, "kube-system_*", "*", "*.log"))
	if err != nil {
		return // impossible: the pattern is constant
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // rotated away by now
		}
		name := strings.TrimPrefix(file, podLogDir+"/")
		b.add(filepath.Join("logs", name), string(text[max(0, len(text)-logBytes):]))
	}
}
