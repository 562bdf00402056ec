package docgen

import (
	"fmt"
	"strings"

	"github.com/kelp-project/kelp/pkg/config"
)

const preface = `<!-- Generated from pkg/config/config.go by go generate. DO NOT EDIT. -->
# Configuration

Every setting is a key of the configuration file, a flag of ` + "`kelp server`" + ` and a variable of the environment. They are read in this order, and a later one
replaces what an earlier one said:

1. the defaults
2. ` + "`%[1]s`" + `, or the file that ` + "`--config`" + ` or ` + "`%[2]s`" + ` names
3. the ` + "`*.yaml`" + ` and ` + "`*.yml`" + ` files in the directory of that name with ` + "`.d`" + ` added (` + "`%[1]s.d/`" + `), by name
4. variables of the environment
5. flags

` + "`kelp config`" + ` takes the same flags and shows what comes out, and where each value came from. ` + "`kelp config validate FILE`" + ` checks a file before it is put in place.
` + "`kelp config schema`" + ` prints a JSON schema for editors.

In the file, a setting stands in its section, or, as a short form, at the top under its flag's name. These two files say the same:

` + "```yaml" + `
node:
  name: alpha
network:
  clusterCIDRs: [10.50.0.0/16]
` + "```" + `

` + "```yaml" + `
node-name: alpha
cluster-cidr: 10.50.0.0/16
` + "```" + `

- An unknown key, a key that is given twice and a value of the wrong kind are errors, with file and line.
- A list may be written as a YAML list or as one value with commas. A key with ` + "`+`" + ` at its end adds to the list that the defaults or an earlier file have made: ` + "`node-label+: [disk=ssd]`" + `.
- Component arguments hold commas themselves, so there a comma does not separate: give a YAML list, repeat the flag, or separate by spaces in the variable.
- *Scope* says whether a value belongs to one node or is the same in all the cluster. *Change* says when a new value takes effect: at once (live), at the next start (restart), or never in a cluster that exists.
- Secrets are shown as ` + "`(redacted)`" + ` wherever values are printed.

## While kelp runs

A running server or agent follows its file, its drop-ins and, on a machine that has joined, what the cluster says. What is *live* is taken within a second, without a restart.
What is *restart* is named in ` + "`kelp status`" + `, on the line of ` + "`configuration`" + `, until kelp is started anew. A file that is not valid, or that has another value for what can *never* change, is
refused as a whole: what runs stays as it is, and ` + "`kelp status`" + ` and the log say what is wrong. What a flag or a variable sets keeps winning over the file.

<!-- test: TestPages configuration -->
` + "```sh" + `
kelp config diff                 # the file against what runs; status 0: no difference, 3: some, 1: refused
kelp config diff new.yaml        # what another file would change, and when
kelp config apply new.yaml       # check it, put it in the file's place, take it; the old one is config.yaml.previous
kelp config apply --try 5m new.yaml
kelp config confirm              # within five minutes, or the file becomes what it was
kelp config edit                 # with $EDITOR; what is refused is opened again
` + "```" + `

A trial ends also when kelp or the machine is restarted in between: it is noted beside the file. If kelp was started with what is on trial and that needs a restart to go, kelp starts anew by itself.
What was not confirmed is kept as ` + "`config.yaml.reverted`" + `.

Labels and taints: what the file adds is added to the Node, what it no longer has is removed, and what others have set or taken away stays. Settings of the cluster are those of the server that began
it, and cannot be set on a machine that has joined: other servers are told of a change at once (by the ConfigMap ` + "`kelp-settings`" + ` in ` + "`kube-system`" + `), and agents within ten minutes. When that server is gone for good, edit that ConfigMap: what cannot be is refused, in the servers' logs.

The settings of the kubelet (` + "`kubelet.configDir`" + `, ` + "`args.kubelet`" + `) need a restart: of a KubeletConfiguration, Kubernetes 1.37 reads nothing again but the files that it names, which are certificates,
authorities and static pods. Tokens have their lifetimes when they are made (` + "`kelp token create --ttl`" + `); there is no setting for that.
`

// Reference renders the page docs/configuration.md, with the given help texts.
func Reference(help map[string]string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, preface, config.DefaultFile, config.FileEnv)
	defaults := config.Default()
	section := "-"
	for _, f := range config.Fields() {
		if s := sectionOf(f.Path); s != section {
			section = s
			heading(&b, section, help)
		}
		setting(&b, f, defaults, help)
	}
	return []byte(b.String())
}

func sectionOf(path string) string {
	section, _, nested := strings.Cut(path, ".")
	if !nested {
		return ""
	}
	return section
}

func heading(b *strings.Builder, section string, help map[string]string) {
	if section == "" {
		b.WriteString("\n## General\n")
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", section, help[section])
}

func setting(b *strings.Builder, f config.Field, defaults config.Config, help map[string]string) {
	kind := string(f.Kind)
	if len(f.Values) > 0 {
		kind = "one of `" + strings.Join(f.Values, "`, `") + "`"
	}
	if f.List {
		kind = "list, " + kind
	}
	value := strings.Join(f.Strings(defaults), ", ")
	if value == "" {
		value = "none"
	} else {
		value = "`" + value + "`"
	}
	flags := "`--" + f.Flag + "`"
	for _, alias := range f.Aliases {
		flags += ", `" + strings.Repeat("-", min(2, len(alias))) + alias + "`"
	}
	text := help[f.Path]
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n", f.Path, strings.ToUpper(text[:1])+text[1:])
	fmt.Fprintf(b, "| flag | variable | kind | default | scope | change |\n| --- | --- | --- | --- | --- | --- |\n")
	fmt.Fprintf(b, "| %s | `%s` | %s | %s | %s | %s |\n", flags, f.Env, kind, value, f.Scope, f.Change)
	if f.Secret {
		b.WriteString("\nSecret: never printed.\n")
	}
}
