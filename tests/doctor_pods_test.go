//go:build e2e

package tests

import (
	"strings"
	"testing"
)

// sickPods are pods that cannot run, each for another reason.
const sickPods = `
apiVersion: v1
kind: Pod
metadata: {name: large, namespace: doctor}
spec: {containers: [{name: c, image: ` + webImage + `, resources: {requests: {cpu: "1000"}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: picky, namespace: doctor}
spec: {nodeSelector: {disk: ssd}, containers: [{name: c, image: ` + webImage + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: absent, namespace: doctor}
spec: {containers: [{name: c, image: "example.test/absent:1", imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Pod
metadata: {name: elsewhere, namespace: doctor}
spec: {containers: [{name: c, image: "127.0.0.1:1/elsewhere:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unset, namespace: doctor}
spec: {containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never, env: [{name: A, valueFrom: {configMapKeyRef: {name: nothing, key: a}}}]}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: doctor}
spec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: unbound, namespace: doctor}
spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: data}}], containers: [{name: c, image: ` + webImage + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ending, namespace: doctor}
spec: {containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never, command: [sh, -c, "exit 7"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: greedy, namespace: doctor}
spec: {containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never, command: [sh, -c, "a=aaaa; while :; do a=$a$a; done"], resources: {limits: {memory: 24Mi}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: misnamed, namespace: doctor}
spec: {containers: [{name: c, image: "example.test/No:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unmounted, namespace: doctor}
spec: {volumes: [{name: v, secret: {secretName: nothing}}], containers: [{name: c, image: ` + webImage + `, volumeMounts: [{name: v, mountPath: /v}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unseen, namespace: doctor}
spec: {schedulerName: another, containers: [{name: c, image: ` + webImage + `}]}
---
apiVersion: v1
kind: Pod
metadata: {name: kept, namespace: doctor, finalizers: [example.test/keep]}
spec: {containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gated, namespace: doctor}
spec: {schedulingGates: [{name: example.test/wait}], containers: [{name: c, image: ` + webImage + `}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: doctor-quota}
spec: {hard: {pods: "1"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: two, namespace: doctor-quota}
spec:
  replicas: 2
  selector: {matchLabels: {app: two}}
  template:
    metadata: {labels: {app: two}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never}]}
`

// crowd are pods that look at others.
const crowd = `
apiVersion: v1
kind: Pod
metadata: {name: lonely, namespace: doctor}
spec:
  affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: nobody}}}]}}
  containers: [{name: c, image: ` + webImage + `}]
---
apiVersion: v1
kind: Pod
metadata: {name: host, namespace: doctor, labels: {app: host}}
spec: {containers: [{name: c, image: ` + webImage + `, imagePullPolicy: Never, ports: [{containerPort: 80, hostPort: 8099}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: guest, namespace: doctor}
spec: {containers: [{name: c, image: ` + webImage + `, ports: [{containerPort: 80, hostPort: 8099}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: shy, namespace: doctor}
spec:
  affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: host}}}]}}
  containers: [{name: c, image: ` + webImage + `}]
`

func TestDoctorSaysWhyPodsDoNotRun(t *testing.T) {
	s := cluster(t)
	s.namespace(t, "doctor")
	s.namespace(t, "doctor-quota")
	s.apply(t, sickPods)
	s.kubectl(t, "-n", "doctor", "delete", "pod", "kept", "--grace-period=1", "--wait=false")
	defer s.kubectl(t, "-n", "doctor", "patch", "pod", "kept", "-p", `{"metadata":{"finalizers":null}}`)
	s.awaitDiagnoses(t, podUp, "problem", [][]string{
		{"pods: pod doctor/large is pending", "1 node with less cpu free than the 1k that it asks for", "the largest node has"},
		{"pods: pod doctor/picky is pending", "1 node without the labels that it asks for: disk=ssd", "kelp kubectl get nodes --show-labels"},
		{"pods: pod doctor/absent: container c is not started: its image is not on the node", "imagePullPolicy Never", imagesDir},
		{"pods: pod doctor/elsewhere: container c is not started: its image cannot be pulled", "the registry cannot be reached", "registries.yaml"},
		{"pods: pod doctor/unset: container c is not started", `configmap "nothing" not found`, "kelp kubectl -n doctor describe pod unset"},
		{"pods: pod doctor/unbound is pending", `its claim data is not bound: its StorageClass "fast" does not exist; there are local-path`, "describe pvc data"},
		{"pods: replicaset doctor-quota/two-", "cannot make its pods", "exceeded quota: small", "describe resourcequota"},
		{"pods: pod doctor/ending: container c ends again and again", "it ended with status 7", "kelp kubectl -n doctor logs ending -c c --previous"},
		{"pods: pod doctor/greedy: container c ends again and again", "it used more memory than its limit", "--previous"},
		{"pods: pod doctor/misnamed: container c is not started", `"example.test/No:1" is no name of an image`, "describe pod misnamed"},
		{"pods: pod doctor/unmounted is pending on ", `secret "nothing" not found`, "describe pod unmounted"},
		{"pods: pod doctor/unseen is pending", `it asks for the scheduler "another", and none of that name has looked at it`, "describe pod unseen"},
	}...)
	s.awaitDiagnosis(t, soon, "warning", "pods: pod doctor/gated is pending", "it has scheduling gates", "describe pod gated")
	// The doctor says no more than so much at once.
	s.kubectl(t, "-n", "doctor", "delete", "pods", "--all", "--grace-period=1", "--wait=false")
	s.apply(t, crowd)
	s.awaitDiagnoses(t, podUp, "problem",
		[]string{"pods: pod doctor/lonely is pending", "1 node without a pod beside which it has to be", "--show-labels"},
		[]string{"pods: pod doctor/guest is pending", "1 node where another pod has its host port", "another hostPort"},
		[]string{"pods: pod doctor/shy is pending", "1 node with a pod beside which it must not be", "relax its anti-affinity"})
	node := s.node(t).Name
	s.kubectl(t, "cordon", node)
	defer s.kubectl(t, "uncordon", node)
	s.kubectl(t, "taint", "node", node, "example.test/taint=kept:NoSchedule")
	defer s.kubectl(t, "taint", "node", node, "example.test/taint-")
	pod := strings.Split(sickPods, "---")[0]
	s.apply(t, strings.NewReplacer("large", "late", `"1000"`, "1m").Replace(pod))
	s.awaitDiagnosis(t, podUp, "problem", "pods: pod doctor/late is pending", "1 node cordoned: "+node, "kelp kubectl uncordon")
	s.awaitDiagnosis(t, soon, "warning", "nodes: "+node+" takes no new pods", "kelp kubectl uncordon "+node)
	s.kubectl(t, "uncordon", node)
	s.apply(t, strings.NewReplacer("large", "tainted", `"1000"`, "1m").Replace(pod))
	s.awaitDiagnosis(t, podUp, "problem", "pods: pod doctor/tainted is pending", "1 node with taints that it does not tolerate: example.test/taint=kept:NoSchedule on "+node, "kelp kubectl taint node")
	s.awaitDiagnosis(t, 3*soon, "problem", "pods: pod doctor/kept does not go away", "it has finalizers, which somebody has to take away: example.test/keep", "describe pod kept")
}
