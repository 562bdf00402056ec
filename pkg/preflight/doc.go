// Package preflight looks at the host before kelp changes anything on it and
// says in one line each what would keep kelp from running, with what to do.
//
// Run is what kelp server does first; Look finds the same and more for people
// (kelp check), as what takes longer than a start may: how fast the disk is,
// and who else runs. Both read only, apart from kernel modules that the kernel
// loads when a feature is tried, and a file without a name that the disk's
// speed is measured with. Acquire, called after Run found nothing, is
// the first change: it makes the data directory and holds it for the life of
// the process. WriteVersion notes, after a good start, who wrote the data.
//
// Each check is a pure function from what was observed to findings, and a
// thin observer beside it. Features of the kernel are tried in a throwaway
// network namespace where that is possible: a module's name in /sys or a line
// of the kernel's configuration says less, as a module may be built in,
// missing from the disk, or forbidden to load.
package preflight
