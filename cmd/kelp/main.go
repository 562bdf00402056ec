// Command kelp is all of Kubernetes as one process.
package main

import (
	"context"
	"os"

	"github.com/kelp-project/kelp/pkg/cli"
)

func main() {
	if err := cli.Run(context.Background(), os.Args); err != nil {
		os.Exit(cli.Report(os.Stderr, err))
	}
}
