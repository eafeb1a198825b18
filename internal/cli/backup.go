package cli

import (
	"fmt"
	"os"
	"strings"

	"perennial/internal/backup"
	"perennial/internal/fault"
	"perennial/internal/server"
)

type backupCommand struct {
	place
	To             string   `help:"The file to write, which must not exist, or a folder." required:"" placeholder:"FILE|DIR"`
	WithKeys       bool     `help:"Also pack the keys folder, encrypted, into FILE.keys.age."`
	Recipient      []string `help:"Who can open the packed keys: a recipient of age, age1…" placeholder:"AGE1"`
	PassphraseFile string   `help:"A file with the passphrase that opens the packed keys." type:"existingfile" placeholder:"FILE"`
}

// Run copies, verifies, and says what is in the copy.
func (c backupCommand) Run(w *world) error {
	var lock *backup.Lock
	if c.WithKeys {
		passphrase, err := secretFile(c.PassphraseFile)
		if err != nil {
			return err
		}
		lock = &backup.Lock{Recipients: c.Recipient, Passphrase: passphrase}
	} else if len(c.Recipient) > 0 || c.PassphraseFile != "" {
		return fault.New(fault.Refused, "backup_lock", "A recipient or a passphrase is for the keys: give --with-keys too.")
	}
	steps, end := bars(w)
	b, err := server.Backup(w.ctx, c.config(w.log), c.To, lock, steps)
	end()
	if err != nil {
		return err
	}
	if !b.Report.Holds() {
		fmt.Fprintln(w.out, "The copy does not verify, so it was not kept. Run perennial verify on the database itself.")
		printProblems(w.out, b.Report)
		return failed(1)
	}
	fmt.Fprintf(w.out, "%s: %s entries, root %s, verified.\n", b.File, thousands(b.Report.Entries), b.Report.Root)
	if b.Keys != "" {
		fmt.Fprintf(w.out, "%s: the keys folder, encrypted. Keep it apart from the copy.\n", b.Keys)
	} else {
		fmt.Fprintln(w.out, "The keys folder is not in it. Without its root key no personal value can be read: keep a copy of it elsewhere.")
	}
	return nil
}

type restoreCommand struct {
	place
	From           string `help:"The backup." required:"" type:"existingfile" placeholder:"FILE"`
	KeysFrom       string `help:"Packed keys, for a keys folder that was lost." type:"existingfile" placeholder:"FILE"`
	Identity       string `help:"The identity file of age that opens the packed keys." type:"existingfile" placeholder:"FILE"`
	PassphraseFile string `help:"A file with the passphrase that opens the packed keys." type:"existingfile" placeholder:"FILE"`
}

// Run restores and verifies.
func (c restoreCommand) Run(w *world) error {
	identities, err := secretFile(c.Identity)
	if err != nil {
		return err
	}
	passphrase, err := secretFile(c.PassphraseFile)
	if err != nil {
		return err
	}
	steps, end := bars(w)
	r, err := server.Restore(w.ctx, c.config(w.log), c.From, c.KeysFrom, backup.Unlock{Identities: identities, Passphrase: passphrase}, steps)
	end()
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "Restored %s entries, root %s.\n", thousands(r.Entries), r.Root)
	if r.Holds() {
		fmt.Fprintln(w.out, "It verifies. Start the server.")
		return nil
	}
	printProblems(w.out, r)
	fmt.Fprintln(w.out, "If the only problem is the last checkpoint in the keys folder, the copy is older than what was signed: the server will start, and sign nothing, charge nobody\nand send nothing until you say that it goes on, with perennial accept-restore. See Restore in docs/operations.md.")
	return failed(1)
}

// secretFile reads a file with one secret, and takes no file as none.
func secretFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	b, err := os.ReadFile(name)
	secret := strings.TrimSpace(string(b))
	if err != nil || secret == "" {
		return "", fault.Wrap(err, fault.Refused, "secret_file", "The file %s cannot be read, or is empty.", name)
	}
	return secret, nil
}

// bars shows copying and then verifying.
func bars(w *world) (steps server.Steps, end func()) {
	copying, verifying := newBar(w.err, "Copying  "), newBar(w.err, "Verifying")
	steps.Copying = func(done, total int64) { copying.set(done, total, "") }
	steps.Verifying = func(done, total int64) {
		copying.end()
		verifying.set(done, total, thousands(done)+" entries")
	}
	return steps, func() { copying.end(); verifying.end() }
}
