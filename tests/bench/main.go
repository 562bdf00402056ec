package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kelp-project/kelp/tests/hosts"
)

func main() {
	only := flag.String("only", "kelp-sqlite,kelp-etcd,separate,cluster", "the systems to measure")
	output := flag.String("o", ".build/bench.json", "where the figures are written as JSON")
	steps := flag.String("steps", "idle,writes,pods,restart,snapshot", "what is measured of each system after its start")
	quick := flag.Bool("quick", false, "a tenth of the idle times: to try the program, not to quote")
	flag.Parse()
	if err := run(context.Background(), strings.Split(*only, ","), strings.Split(*steps, ","), *output, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names, steps []string, output string, quick bool) (err error) {
	b, err := openBench(ctx, quick)
	if err != nil {
		return err
	}
	b.steps = steps
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, b.lab.Close(ctx))
	}()
	report := Report{Machine: machine(), When: time.Now().UTC().Format(time.DateOnly), Quick: quick}
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "measuring %s\n", name)
		if name == "cluster" {
			if report.Cluster, err = b.measureCluster(ctx); err != nil {
				return fmt.Errorf("measure a cluster: %w", err)
			}
		} else {
			f, err := b.measure(ctx, name)
			if err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
			report.Figures = append(report.Figures, f)
		}
		// What is measured stays when the next one fails.
		if err := report.write(output); err != nil {
			return err
		}
	}
	fmt.Print(report.Table())
	return nil
}

// write writes the figures as JSON.
func (r Report) write(output string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if err := os.WriteFile(output, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// bench is what all measurements share.
type bench struct {
	lab     *hosts.Lab
	kelp    string // the binary under test
	archive string // the application's image
	settle  time.Duration
	idle    time.Duration
	writes  int
	steps   []string // after the start
}

const webImage = "example.test/web:1"

func openBench(ctx context.Context, quick bool) (*bench, error) {
	binary, err := hosts.Binary()
	if err != nil {
		return nil, err
	}
	image, err := hosts.WebImage(ctx)
	if err != nil {
		return nil, err
	}
	l, err := hosts.Open(ctx, hosts.Options{})
	if err != nil {
		return nil, err
	}
	b := &bench{
		lab: l, archive: filepath.Join(l.Dir, "web.tar"), settle: time.Minute, idle: time.Minute, writes: 600,
	}
	if quick {
		b.settle, b.idle, b.writes = 6*time.Second, 6*time.Second, 60
	}
	if b.kelp, err = l.Share(binary); err == nil {
		err = hosts.WriteArchive(b.archive, webImage, image)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	return b, nil
}
