// Command stamped prints what package version says of it.
package main

import (
	"fmt"

	"github.com/kelp-project/kelp/pkg/version"
)

func main() { fmt.Print(version.String(), "made ", version.Made().Unix(), "\n") }
