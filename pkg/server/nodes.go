package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/join"
)

// memberFinalizer keeps a server's deleted Node until its etcd member is gone.
const memberFinalizer = "kelp.io/etcd-member"

// serverNodes are the cluster's nodes, for voters. It is for one goroutine.
type serverNodes struct {
	connect func() (kubernetes.Interface, error)
	client  kubernetes.Interface
	nodes   []corev1.Node // as they were last listed
}

var _ voters.Nodes = (*serverNodes)(nil)

// Staying lists nodes, and the names that are bound to a machine whose node has
// not come up yet.
func (s *serverNodes) Staying(ctx context.Context) (map[string]bool, error) {
	if s.client == nil {
		client, err := s.connect()
		if err != nil {
			return nil, err
		}
		s.client = client
	}
	staying, err := join.Bound(ctx, s.client)
	if err != nil {
		return nil, err
	}
	list, err := s.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	s.nodes = list.Items
	for _, n := range s.nodes {
		staying[n.Name] = n.DeletionTimestamp == nil
	}
	return staying, nil
}

// Hold adds the finalizer.
func (s *serverNodes) Hold(ctx context.Context, name string) error {
	for _, n := range s.nodes {
		if n.Name == name && n.DeletionTimestamp == nil && !slices.Contains(n.Finalizers, memberFinalizer) {
			return s.patch(ctx, n, append(slices.Clone(n.Finalizers), memberFinalizer))
		}
	}
	return nil
}

// Free removes the finalizer from nodes without a member.
func (s *serverNodes) Free(ctx context.Context, members []string) error {
	for _, n := range s.nodes {
		if n.DeletionTimestamp == nil || !slices.Contains(n.Finalizers, memberFinalizer) || slices.Contains(members, n.Name) {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(n.Finalizers), func(f string) bool { return f == memberFinalizer })
		if err := s.patch(ctx, n, rest); err != nil {
			return err
		}
	}
	return nil
}

func (s *serverNodes) patch(ctx context.Context, n corev1.Node, finalizers []string) error {
	// With the version, so that nobody else's finalizer is lost.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": finalizers, "resourceVersion": n.ResourceVersion}})
	if err != nil {
		return fmt.Errorf("encode finalizers of node %s: %w", n.Name, err)
	}
	_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kelp"})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // a conflict is tried again
		return fmt.Errorf("change finalizers of node %s: %w", n.Name, err)
	}
	return nil
}
