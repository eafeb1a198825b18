package mail

import (
	"os"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"perennial/internal/fault"
)

// Sign has every message signed by DKIM (RFC 6376) for the domain of the sender's address, with a private key from a PEM file (RSA or
// Ed25519). The public key is in the domain's DNS under the selector. It is for a server that sends messages itself; most that take them
// from others sign them too.
func (s *SMTP) Sign(keyFile, selector string) error {
	_, domain, ok := strings.Cut(s.from, "@")
	if !ok || selector == "" {
		return fault.New(fault.Unavailable, "dkim_selector",
			"--dkim-key needs --dkim-selector, the name under which the public key is in DNS, and --mail-from with a domain.")
	}
	pem, err := os.ReadFile(keyFile)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "dkim_key", "The file %s cannot be read.", keyFile)
	}
	key, err := gomail.PrivKeyFromPEM(pem)
	if err == nil {
		err = s.client.SetAlwaysDKIMSign(gomail.NewDKIMSigner(domain, selector, key))
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "dkim_key", "The file %s holds no private key, RSA or Ed25519, in the form PEM.", keyFile)
	}
	return nil
}
