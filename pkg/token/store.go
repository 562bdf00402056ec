package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	secretType   = corev1.SecretType("kelp.io/token")
	secretPrefix = "kelp-token-"
	// namespace is where only administrators read Secrets.
	namespace = metav1.NamespaceSystem
)

// ErrNotFound is returned for a token that the cluster does not have.
var ErrNotFound = errors.New("there is no such token")

// Store keeps records as Secrets in the cluster. It is safe for concurrent
// use, also by several servers.
type Store struct{ secrets typed.SecretInterface }

// NewStore returns the store of a cluster.
func NewStore(client kubernetes.Interface) *Store { return &Store{client.CoreV1().Secrets(namespace)} }

// Get returns one record, ErrNotFound if there is none.
func (s *Store) Get(ctx context.Context, id string) (Record, error) {
	secret, err := s.secrets.Get(ctx, secretPrefix+id, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && secret.Type != secretType {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, fmt.Errorf("read token %s: %w", id, err)
	}
	return recordOf(secret)
}

// List returns all records, by id.
func (s *Store) List(ctx context.Context) ([]Record, error) {
	list, err := s.secrets.List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(secretType)})
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	var records []Record
	for i := range list.Items {
		r, err := recordOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.ID, b.ID) })
	return records, nil
}

// create makes a record, if there is none with its id.
func (s *Store) create(ctx context.Context, r Record) error {
	_, err := s.secrets.Get(ctx, secretPrefix+r.ID, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = s.secrets.Create(ctx, secretOf(r), metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("write token %s: %w", r.ID, err)
	}
	return nil
}

// Put creates a record, or replaces the one with its id.
func (s *Store) Put(ctx context.Context, r Record) error {
	_, err := s.secrets.Create(ctx, secretOf(r), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = s.secrets.Update(ctx, secretOf(r), metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write token %s: %w", r.ID, err)
	}
	return nil
}

// Delete removes a record, ErrNotFound if there is none.
func (s *Store) Delete(ctx context.Context, id string) error {
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	if err := s.secrets.Delete(ctx, secretPrefix+id, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete token %s: %w", id, err)
	}
	return nil
}

// Use notes that a token that is good once has been used. Of two that use it
// at the same time, on whichever server, one gets ErrUsed.
func (s *Store) Use(ctx context.Context, id string, now time.Time) error {
	secret, err := s.secrets.Get(ctx, secretPrefix+id, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read token %s: %w", id, err)
	}
	r, err := recordOf(secret)
	if err != nil || !r.Once {
		return err
	}
	if !r.Used.IsZero() {
		return ErrUsed
	}
	r.Used = now
	changed := secretOf(r)
	changed.ResourceVersion = secret.ResourceVersion
	_, err = s.secrets.Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return ErrUsed
	}
	if err != nil {
		return fmt.Errorf("note the use of token %s: %w", id, err)
	}
	return nil
}

func secretOf(r Record) *corev1.Secret {
	data := map[string][]byte{
		"role": []byte(r.Role), "salt": r.salt, "hash": r.hash, "description": []byte(r.Description), "node": []byte(r.Node),
		"created": stamp(r.Created), "expires": stamp(r.Expires), "used": stamp(r.Used),
	}
	if len(r.sealed) != 0 {
		data["sealed"] = r.sealed
	}
	if r.Once {
		data["once"] = []byte("true")
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secretPrefix + r.ID, Namespace: namespace}, Type: secretType, Data: data}
}

func recordOf(s *corev1.Secret) (Record, error) {
	r := Record{
		ID: strings.TrimPrefix(s.Name, secretPrefix), Role: Role(s.Data["role"]), Description: string(s.Data["description"]),
		Once: string(s.Data["once"]) == "true", Node: string(s.Data["node"]), salt: s.Data["salt"], hash: s.Data["hash"], sealed: s.Data["sealed"],
	}
	for key, at := range map[string]*time.Time{"created": &r.Created, "expires": &r.Expires, "used": &r.Used} {
		if text := string(s.Data[key]); text != "" {
			var err error
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return Record{}, fmt.Errorf("read token %s: %s: %w", r.ID, key, err)
			}
		}
	}
	return r, nil
}

func stamp(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return []byte(t.UTC().Format(time.RFC3339))
}
