package apiserver

import "github.com/kelp-project/kelp/pkg/args"

// removed are flags that older guides name and that upstream has dropped. A
// test checks that none of them has come back.
var removed = map[string]args.Removal{}
