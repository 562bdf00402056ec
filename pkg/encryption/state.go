package encryption

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"
)

// Stage is how far a change of the key is.
type Stage string

// The stages, in their order.
const (
	// Settled: nothing is to be done.
	Settled Stage = "settled"
	// Spreading: all servers learn the next key, to read with it.
	Spreading Stage = "spreading"
	// Rewriting: all servers write with the new key, and what was written
	// otherwise is written anew.
	Rewriting Stage = "rewriting"
)

// keySize is secretbox's, in bytes.
const keySize = 32

// Key is one that Secrets are, or were, encrypted with.
type Key struct {
	Name    string    `json:"name"` // is before each value that is encrypted with it
	Created time.Time `json:"created"`
	// Sealed is the key itself, for the cluster's servers.
	Sealed []byte `json:"sealed"`
}

// State is which keys there are and what they are used for. All of it but the
// keys themselves may be seen.
type State struct {
	Stage Stage `json:"stage"`
	// Write is the name of the key that is written with, "" if Secrets are not
	// encrypted.
	Write string `json:"write"`
	// Next is the key that is written with as soon as all servers know it.
	Next string `json:"next,omitempty"`
	// Keys are all that may be read with, the newest first.
	Keys []Key `json:"keys"`
	// Problem is why a change does not go on.
	Problem string `json:"problem,omitempty"`

	revision int64 // under which it was read, 0 if it is not stored yet
}

// parse reads what is stored.
func parse(text []byte, revision int64) (State, error) {
	s := State{revision: revision}
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("read the keys of Secrets: %w", err)
	}
	for _, name := range []string{s.Write, s.Next} {
		if name != "" && !slices.ContainsFunc(s.Keys, func(k Key) bool { return k.Name == name }) {
			return State{}, fmt.Errorf("read the keys of Secrets: key %s is missing", name)
		}
	}
	return s, nil
}

// add makes a key and returns its name.
func (s *State) add(box cipher.AEAD, now time.Time) string {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process first
	name := now.UTC().Format("20060102") + "-" + strings.ToLower(rand.Text()[:8])
	key := Key{Name: name, Created: now.UTC().Truncate(time.Second), Sealed: box.Seal(nil, nil, secret, []byte(name))}
	s.Keys = append([]Key{key}, s.Keys...)
	return name
}

// rotate begins to use a new key, or to encrypt where nothing was encrypted.
func (s *State) rotate(box cipher.AEAD, now time.Time) error {
	if s.Stage != Settled {
		return errUnsettled
	}
	s.Next, s.Stage, s.Problem = s.add(box, now), Spreading, ""
	return nil
}

// errUnsettled says that there is another change to wait for.
var errUnsettled = errors.New("another change of the keys of Secrets is not done yet")

// rewrite begins to write what is not written as it should be.
func (s *State) rewrite() error {
	if s.Stage != Settled {
		return errUnsettled
	}
	s.Stage, s.Problem = Rewriting, ""
	return nil
}

// disable begins to write Secrets as they are.
func (s *State) disable() error {
	if err := s.rewrite(); err != nil {
		return err
	}
	s.Write = ""
	return nil
}

// prefix is what values begin with that are encrypted with a key: see
// k8s.io/apiserver's encryption configuration.
const prefix = "k8s:enc:"

func prefixOf(key string) string { return prefix + "secretbox:v1:" + key + ":" }

// written says whether a value is as it would be written now.
func (s State) written(value []byte) bool {
	if s.Write == "" {
		return !strings.HasPrefix(string(value[:min(len(value), len(prefix))]), prefix)
	}
	want := prefixOf(s.Write)
	return len(value) >= len(want) && string(value[:len(want)]) == want
}

// file is the API server's EncryptionConfiguration: the first key, or identity,
// is written with, and all are read with.
func (s State) file(box cipher.AEAD) ([]byte, error) {
	var keys []apiserverv1.Key
	for _, k := range s.Keys {
		secret, err := box.Open(nil, nil, k.Sealed, []byte(k.Name))
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("key %s of Secrets cannot be opened with the keys of this server", k.Name)
		}
		key := apiserverv1.Key{Name: k.Name, Secret: base64.StdEncoding.EncodeToString(secret)}
		if k.Name == s.Write {
			keys = append([]apiserverv1.Key{key}, keys...)
		} else {
			keys = append(keys, key)
		}
	}
	sealed := apiserverv1.ProviderConfiguration{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: keys}}
	plain := apiserverv1.ProviderConfiguration{Identity: &apiserverv1.IdentityConfiguration{}}
	providers := []apiserverv1.ProviderConfiguration{sealed, plain}
	switch {
	case len(keys) == 0:
		providers = providers[1:]
	case s.Write == "":
		slices.Reverse(providers)
	}
	text, err := yaml.Marshal(apiserverv1.EncryptionConfiguration{
		TypeMeta:  metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: "EncryptionConfiguration"},
		Resources: []apiserverv1.ResourceConfiguration{{Resources: []string{"secrets"}, Providers: providers}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the keys of Secrets: %w", err)
	}
	return text, nil
}
