package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"time"
)

// review is what an admission webhook is asked and answers, as far as it is
// needed here.
type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

type response struct {
	UID     string            `json:"uid"`
	Allowed bool              `json:"allowed"`
	Status  map[string]string `json:"status,omitempty"`
}

// admit serves a validating webhook on port 8443.
func admit(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	fmt.Print(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	server := &http.Server{
		Addr:              ":8443",
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var asked review
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Request == nil {
				http.Error(w, "this is not an AdmissionReview", http.StatusBadRequest)
				return
			}
			answer := &response{UID: asked.Request.UID, Allowed: asked.Request.Name != "bad"}
			if !answer.Allowed {
				answer.Status = map[string]string{"message": "the webhook says no"}
			}
			asked.Request, asked.Response = nil, answer
			_ = json.NewEncoder(w).Encode(asked) // an API server that has gone asks again
		}),
	}
	return server.ListenAndServeTLS("", "")
}
