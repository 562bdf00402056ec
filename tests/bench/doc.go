// Command bench measures kelp beside the same upstream components as separate
// processes, each on a freshly booted test host, in one run: so that the
// ratios mean something on any machine.
//
//	make bench                    all systems; table, and JSON in .build/bench.json
//	go run ./tests/bench -only kelp-sqlite,separate -quick
//
// The separate processes are built from this go.mod, run as systemd units in
// the order that upstream's documentation gives (After=, Restart=on-failure),
// with upstream's defaults, leader election included, and share kelp's runc,
// shim, CNI plugins and pause image. They carry no packaged components; kelp
// does, and its figures are given with and without the pods of these.
//
// What is measured, in this order: the start from nothing (API ready, node
// Ready, first pod Running, packaged components Ready), 60 s of idle that
// begin a minute after the start (memory, CPU, datastore writes), API writes at
// 20 per second, 40 pods, a restart with them running. Then, for kelp alone, three
// servers and an agent: how long each takes to join, how long writes through the
// agent pause when the leader is killed, and what the idle agent takes.
package main
