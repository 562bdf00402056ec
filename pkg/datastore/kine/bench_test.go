package kine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// BenchmarkCreate measures what a transaction of the API costs through kine,
// and what synchronous=FULL costs against NORMAL. The figures are in
// docs/datastore.md.
func BenchmarkCreate(b *testing.B) {
	value := make([]byte, 1500) // a small Pod
	for _, mode := range []Synchronous{Full, Normal} {
		for _, writers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/%d", mode, writers), func(b *testing.B) {
				opts := options(shortDir(b))
				opts.Synchronous = mode
				client, _ := start(b, opts)
				took := create(b, client, string(value), writers)
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}

// create creates b.N keys and returns how long each took.
func create(b *testing.B, client *clientv3.Client, value string, writers int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range writers {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				key, began := fmt.Sprintf("/registry/pods/%d", i), time.Now()
				_, err := client.Txn(context.Background()).
					If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
					Then(clientv3.OpPut(key, value)).Commit()
				if err != nil {
					b.Errorf("create %s: %v", key, err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	return took
}
