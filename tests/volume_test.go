//go:build e2e

package tests

import (
	"fmt"
	"testing"
)

const keeper = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk, namespace: keep}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: keep, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: ` + webImage + `
    imagePullPolicy: Never
    volumeMounts: [{name: disk, mountPath: /data}]
  volumes: [{name: disk, persistentVolumeClaim: {claimName: disk}}]
`

// A claim without a class gets a volume, and what a pod wrote to it is there
// for the next pod.
func TestVolumeKeepsDataWhenItsPodGoes(t *testing.T) {
	s := cluster(t)
	s.namespace(t, "keep")
	s.apply(t, fmt.Sprintf(keeper, "first"))
	s.awaitPod(t, "keep", "app=first", volume)
	s.kubectl(t, "-n", "keep", "exec", "first", "--", "sh", "-c", "echo precious >/data/file")
	s.kubectl(t, "-n", "keep", "delete", "pod", "first")

	s.apply(t, fmt.Sprintf(keeper, "second"))
	s.awaitPod(t, "keep", "app=second", volume)
	if got := s.kubectl(t, "-n", "keep", "exec", "second", "--", "cat", "/data/file"); got != "precious" {
		t.Errorf("the second pod reads %q", got)
	}
	if got := s.run(t, "cat "+dataDir+"/storage/*/file"); got != "precious" {
		t.Errorf("the volume is not under the data directory: %q", got)
	}
}
