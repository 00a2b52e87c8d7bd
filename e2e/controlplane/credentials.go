// Makes the files by which the parts trust each other: authority, serving certificate, account key, token, kubeconfig.
// What is already in the directory is kept, so tokens survive a restart; the certificate lasts ten years for that reason.
package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// access is how to reach the API server, and the files behind that.
type access struct {
	server, token                      string
	kubeconfig, tokens, accountKey     string
	authority, servingCert, servingKey string
}

func prepareAccess(dir string, port int) (*access, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	a := &access{
		server:     fmt.Sprintf("https://127.0.0.1:%d", port),
		kubeconfig: in("kubeconfig"), tokens: in("tokens.csv"), accountKey: in("service-account.key"),
		authority: in("ca.crt"), servingCert: in("apiserver.crt"), servingKey: in("apiserver.key"),
	}
	for _, step := range []func() error{a.ensureAccountKey, a.ensureToken, a.ensureCertificates, a.writeKubeconfig} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *access) ensureAccountKey() error {
	if exists(a.accountKey) {
		return nil
	}
	_, text, err := newKey()
	if err != nil {
		return err
	}
	return os.WriteFile(a.accountKey, text, 0o600)
}

// ensureToken reads or makes the token of the one administrator.
func (a *access) ensureToken() error {
	if line, err := os.ReadFile(a.tokens); err == nil {
		a.token, _, _ = strings.Cut(string(line), ",")
		return nil
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	a.token = hex.EncodeToString(raw)
	return os.WriteFile(a.tokens, []byte(a.token+",admin,admin,system:masters\n"), 0o600)
}

// ensureCertificates makes a real authority rather than a kubeconfig that skips verification: clients' TLS code is under test too.
func (a *access) ensureCertificates() error {
	if exists(a.servingCert) {
		return nil
	}
	authorityKey, _, err := newKey()
	if err != nil {
		return err
	}
	authority, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "controlplane-ca"}, authorityKey)
	if err != nil {
		return err
	}
	key, keyText, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, servingTemplate(authority), authority, key.Public(), authorityKey)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		path string
		text []byte
	}{
		{a.authority, certificateText(authority.Raw)},
		{a.servingKey, keyText},
		{a.servingCert, certificateText(der)},
	} {
		if err := os.WriteFile(file.path, file.text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func servingTemplate(authority *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:     []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		// The second is the first of the service range: what pods call.
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 0, 1)},
		NotBefore:   authority.NotBefore,
		NotAfter:    authority.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func (a *access) writeKubeconfig() error {
	authority, err := os.ReadFile(a.authority)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: local
clusters:
- name: local
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: admin
  user:
    token: %s
contexts:
- name: local
  context:
    cluster: local
    user: admin
`, a.server, base64.StdEncoding.EncodeToString(authority), a.token)
	return os.WriteFile(a.kubeconfig, []byte(text), 0o600)
}

// waitFor polls a path as the administrator until it answers 200, ctx ends or a part dies.
func (a *access) waitFor(ctx context.Context, path string, failed <-chan error) error {
	roots, err := certutil.NewPool(a.authority)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+path, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting for %s", path)
		case err := <-failed:
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, text, err
}

func certificateText(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: der})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
