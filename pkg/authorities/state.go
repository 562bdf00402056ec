package authorities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// The Secret that carries the authorities, and what is in it.
const (
	namespace = metav1.NamespaceSystem
	name      = "kelp-authorities"

	generationKey = "generation"
	sealedKey     = "sealed"  // pki.Authorities, JSON
	adoptedKey    = "adopted" // the generation of each server by its address, JSON
)

// purpose is what the servers' common key is used for here.
const purpose = "the cluster's authorities"

// state is the Secret's content.
type state struct {
	generation int
	sealed     []byte
	adopted    map[string]int
	object     *corev1.Secret // as it was read, nil if there is none
}

// stateOf reads the Secret. Without one the cluster has the authorities that it
// began with, or its datastore has forgotten later ones.
func stateOf(object *corev1.Secret) (state, error) {
	s := state{object: object, adopted: map[string]int{}}
	if object == nil {
		return s, nil
	}
	var err error
	if s.generation, err = strconv.Atoi(string(object.Data[generationKey])); err != nil {
		return state{}, fmt.Errorf("read secret %s/%s: its generation: %w", namespace, name, err)
	}
	s.sealed = object.Data[sealedKey]
	if text := object.Data[adoptedKey]; len(text) > 0 {
		if err := json.Unmarshal(text, &s.adopted); err != nil {
			return state{}, fmt.Errorf("read secret %s/%s: who has adopted it: %w", namespace, name, err)
		}
	}
	return s, nil
}

func load(ctx context.Context, client kubernetes.Interface) (state, error) {
	object, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return stateOf(nil)
	case err != nil:
		return state{}, fmt.Errorf("read the cluster's authorities: %w", err)
	}
	return stateOf(object)
}

// errRaced says that somebody else has written in between.
var errRaced = errors.New("the cluster's authorities were changed on another server just now")

// write replaces what was read, errRaced if that is not there any more.
func (s state) write(ctx context.Context, client kubernetes.Interface) error {
	adopted, err := json.Marshal(s.adopted)
	if err != nil {
		return fmt.Errorf("encode who has adopted the authorities: %w", err)
	}
	secrets := client.CoreV1().Secrets(namespace)
	data := map[string][]byte{generationKey: []byte(strconv.Itoa(s.generation)), sealedKey: s.sealed, adoptedKey: adopted}
	if s.object == nil {
		_, err = secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Type: "kelp.io/authorities", Data: data}, metav1.CreateOptions{})
	} else {
		object := s.object.DeepCopy()
		object.Data = data
		_, err = secrets.Update(ctx, object, metav1.UpdateOptions{})
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
		return errRaced
	case err != nil:
		return fmt.Errorf("write the cluster's authorities: %w", err)
	}
	return nil
}

// with is the state with other authorities, which nobody has adopted yet.
func (s state) with(p config.Paths, a pki.Authorities) (state, error) {
	box, err := pki.ServersBox(p, purpose)
	if err != nil {
		return state{}, err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return state{}, fmt.Errorf("encode the cluster's authorities: %w", err)
	}
	s.generation, s.adopted = a.Generation, maps.Clone(s.adopted)
	s.sealed = box.Seal(nil, nil, text, []byte(strconv.Itoa(a.Generation)))
	return s, nil
}

// open returns the authorities.
func (s state) open(p config.Paths) (pki.Authorities, error) {
	box, err := pki.ServersBox(p, purpose)
	if err != nil {
		return pki.Authorities{}, err
	}
	text, err := box.Open(nil, nil, s.sealed, []byte(strconv.Itoa(s.generation)))
	if err != nil {
		return pki.Authorities{}, fmt.Errorf("secret %s/%s cannot be opened with the keys of this server", namespace, name)
	}
	var a pki.Authorities
	if err := json.Unmarshal(text, &a); err != nil {
		return pki.Authorities{}, fmt.Errorf("decode the cluster's authorities: %w", err)
	}
	if a.Generation != s.generation {
		return pki.Authorities{}, fmt.Errorf("secret %s/%s contradicts itself: generation %d holds %d", namespace, name, s.generation, a.Generation)
	}
	return a, nil
}
