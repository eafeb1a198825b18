package civil

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Rules that changed in 2026, after the tz database that Go 1.26.8 carries (2025c).
// Source: NEWS of tz 2026a to 2026f.
func TestZonesOf2026(t *testing.T) {
	z := chooseZones(nil, true)
	for name, want := range map[string]int{
		"America/Vancouver": -7, "America/Edmonton": -6, "America/Winnipeg": -5, "America/Inuvik": -6, "America/Havana": -4,
		"Africa/Casablanca": 0, "Africa/El_Aaiun": 0,
	} {
		l, err := z.load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, offset := time.Date(2026, 12, 15, 12, 0, 0, 0, l.location).Zone(); offset != want*3600 {
			t.Errorf("%s in December 2026: UTC%+d s, want %+d h", name, offset, want)
		}
	}
}

// The zip is what the note says, and each of its zones can be read.
func TestEmbeddedZones(t *testing.T) {
	sum := sha256.Sum256([]byte(zoneFiles))
	if !strings.Contains(zoneNote, "\nzoneinfo.zip "+hex.EncodeToString(sum[:])+"\n") {
		t.Errorf("zoneinfo.txt does not name the zip with SHA-256 %x", sum)
	}
	z := chooseZones(nil, true)
	n := 0
	for _, f := range z.files.(*zip.Reader).File {
		if !zoneName.MatchString(f.Name) {
			t.Errorf("a zone named %s", f.Name)
		}
		l, err := z.load(f.Name)
		if err != nil || f.Name != "UTC" && l.location.String() != f.Name {
			t.Errorf("%s: %v", f.Name, err)
		}
		n++
	}
	if n < 500 {
		t.Errorf("%d zones", n)
	}
	if got, origin := ZoneData(); got == "" || origin == "" {
		t.Errorf("version %q of %q", got, origin)
	}
}

// The newer of the embedded database and the machine's is taken; ZONEINFO is the operator's word.
func TestNewerZonesWin(t *testing.T) {
	unpacked := unpack(t)
	folder := func(version, zone string) string {
		dir := t.TempDir()
		if version != "" {
			write(t, filepath.Join(dir, "tzdata.zi"), "# version "+version+"\n# redo posix_only\n")
		}
		if zone != "" {
			data, err := os.ReadFile(filepath.Join(unpacked, zone))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "Europe", "Berlin"), string(data)) // another zone's rules, so that it shows which was read
		}
		return dir
	}
	embedded, _, _ := strings.Cut(zoneNote, "\n")
	for name, c := range map[string]struct {
		dir       string
		onlyNewer bool
		version   string
		built     bool
	}{
		"older":                  {folder("2025b", "Asia/Tokyo"), true, embedded, true},
		"same":                   {folder(embedded, "Asia/Tokyo"), true, embedded, true},
		"no version":             {folder("", "Asia/Tokyo"), true, embedded, true},
		"none":                   {filepath.Join(t.TempDir(), "none"), true, embedded, true},
		"newer":                  {folder("2099a", "Asia/Tokyo"), true, "2099a", false},
		"ZONEINFO, though older": {folder("2025b", "Asia/Tokyo"), false, "2025b", false},
		"ZONEINFO, unversioned":  {folder("", "Asia/Tokyo"), false, "", false},
	} {
		z := chooseZones([]string{c.dir}, c.onlyNewer)
		l, err := z.load("Europe/Berlin")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, offset := time.Date(2027, 1, 1, 0, 0, 0, 0, l.location).Zone()
		if z.version != c.version || (z.origin == "built in") != c.built || (offset == 3600) != c.built {
			t.Errorf("%s: %s of %s, UTC%+d s", name, z.version, z.origin, offset)
		}
		if _, err := z.load("Europe/Lisbon"); err != nil {
			t.Errorf("%s: a zone that the folder lacks: %v", name, err)
		}
	}
}

func TestZonePrintFollowsTheRules(t *testing.T) {
	one, err := ZonePrint("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ZonePrint("Europe/Lisbon")
	if err != nil || !strings.HasPrefix(one, "Europe/Berlin ") || one[len("Europe/Berlin"):] == other[len("Europe/Lisbon"):] {
		t.Errorf("%q, %q, %v", one, other, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unpack gives a folder with the embedded database, unpacked.
func unpack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, chooseZones(nil, true).files); err != nil {
		t.Fatal(err)
	}
	return dir
}
