package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// version begins every token: a later form can be told from this one.
const version = "kelp1"

// Role is what whoever has a token may become.
type Role string

// The roles.
const (
	Server Role = "server"
	Agent  Role = "agent"
)

// Token is one secret and whom it is for. Only Secret is set for a bare one.
type Token struct {
	Hash   string // of the serving authority that the cluster began with, see pki.Founder
	Role   Role
	ID     string // names the token where its secret must not be shown
	Secret string
}

// New makes a token with a random secret. The token of a role that a cluster
// has from its first start is called like the role; others have random ids.
func New(hash string, role Role, id string) Token {
	return Token{Hash: hash, Role: role, ID: id, Secret: rand.Text()}
}

// NewID returns a random id.
func NewID() string { return strings.ToLower(rand.Text()[:10]) }

// ErrForm is returned for what is neither a token nor a bare secret.
var ErrForm = errors.New("is not a token: expected " + version + ".<hash>.<role>.<id>.<secret>, or a secret alone")

// Parse reads a token, or a secret alone. Errors never hold the text.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, " \t\r\n\x00") {
		return Token{}, ErrForm
	}
	if !strings.HasPrefix(text, version+".") {
		return Token{Secret: text}, nil
	}
	parts := strings.SplitN(text, ".", 5) // the secret may hold dots
	if len(parts) != 5 {
		return Token{}, ErrForm
	}
	t := Token{Hash: parts[1], Role: Role(parts[2]), ID: parts[3], Secret: parts[4]}
	if sum, err := hex.DecodeString(t.Hash); err != nil || len(sum) != sha256.Size {
		return Token{}, fmt.Errorf("the hash in it is not a SHA-256: it %w", ErrForm)
	}
	if t.Role != Server && t.Role != Agent {
		return Token{}, fmt.Errorf("the role in it is neither server nor agent: it %w", ErrForm)
	}
	if t.ID == "" || t.Secret == "" {
		return Token{}, ErrForm
	}
	return t, nil
}

// Text is the token as it is given to a machine that joins. It is a secret.
func (t Token) Text() string {
	if t.Hash == "" {
		return t.Secret
	}
	return strings.Join([]string{version, t.Hash, string(t.Role), t.ID, t.Secret}, ".")
}

// String names the token without its secret, for logs and errors.
func (t Token) String() string { return fmt.Sprintf("%s token %s", t.Role, t.ID) }

// Matches compares the secrets, in a time that does not depend on how much of
// them is equal; a hash, where both have one, has to be equal too.
func (t Token) Matches(other Token) bool {
	same := subtle.ConstantTimeCompare([]byte(t.Secret), []byte(other.Secret)) == 1
	return same && (t.Hash == "" || other.Hash == "" || t.Hash == other.Hash)
}
