package civil

import (
	"archive/zip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// The rules of time zones change several times a year, sometimes weeks before they hold; Go's releases bring them late. So the binary
// carries a tz database of its own, which scripts/zones.sh renews, and takes the machine's when that is newer.

//go:embed zoneinfo.zip
var zoneFiles string

//go:embed zoneinfo.txt
var zoneNote string

// zoneFolders are where systems keep the tz database (as package time looks for it).
var zoneFolders = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}

// zoneData is one tz database: its compiled zones, and its version ("2026f").
type zoneData struct {
	files   fs.FS
	version string
	origin  string
	loaded  sync.Map // name to *loadedZone
}

type loadedZone struct {
	location *time.Location
	print    string
}

// zones is the tz database of this process, chosen when it is first asked for.
var zones = sync.OnceValue(func() *zoneData {
	if dir := os.Getenv("ZONEINFO"); dir != "" {
		return chooseZones([]string{dir}, false)
	}
	return chooseZones(zoneFolders, true)
})

// chooseZones takes the database of a folder: the newest, no older than the embedded one where onlyNewer is set. A folder that does not say
// its version (tzdata.zi, which tz's own Makefile installs) counts as older than any.
func chooseZones(folders []string, onlyNewer bool) *zoneData {
	version, _, _ := strings.Cut(zoneNote, "\n")
	embedded, err := zip.NewReader(strings.NewReader(zoneFiles), int64(len(zoneFiles)))
	if err != nil {
		panic(err) // the file is part of the program
	}
	best := &zoneData{files: embedded, version: version, origin: "built in"}
	for _, dir := range folders {
		found := folderVersion(dir)
		if found == "" && onlyNewer {
			continue
		}
		if found > best.version || !onlyNewer {
			best = &zoneData{files: fallback{os.DirFS(dir), embedded}, version: found, origin: dir}
		}
	}
	return best
}

// zoneVersion is the first line of tzdata.zi. Versions sort as text: a year of four digits and a letter.
var zoneVersion = regexp.MustCompile(`^# version ([0-9]{4}[a-z]{1,2})\b`)

func folderVersion(dir string) string {
	f, err := os.Open(filepath.Join(dir, "tzdata.zi"))
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := io.ReadFull(f, head) // a short file has no version
	if m := zoneVersion.FindSubmatch(head[:n]); m != nil {
		return string(m[1])
	}
	return ""
}

// fallback reads from the second file system what the first does not have.
type fallback struct{ first, second fs.FS }

func (f fallback) Open(name string) (fs.File, error) {
	file, err := f.first.Open(name)
	if err != nil {
		return f.second.Open(name)
	}
	return file, nil
}

func (z *zoneData) load(name string) (*loadedZone, error) {
	if l, ok := z.loaded.Load(name); ok {
		return l.(*loadedZone), nil
	}
	data, err := fs.ReadFile(z.files, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrZone, err)
	}
	l := &loadedZone{location: time.UTC, print: "UTC"}
	if name != "UTC" {
		if l.location, err = time.LoadLocationFromTZData(name, data); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrZone, err)
		}
		sum := sha256.Sum256(data)
		l.print = name + " " + hex.EncodeToString(sum[:4])
	}
	z.loaded.Store(name, l)
	return l, nil
}

// zoneName is the form of the names in the IANA time zone database. Names with a dot or a leading slash are paths.
var zoneName = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

func loadZone(name string) (*loadedZone, error) {
	if len(name) > 64 || name == "Local" || !zoneName.MatchString(name) {
		return nil, ErrZone
	}
	return zones().load(name)
}

// Zone gives the time zone with an IANA name, such as "Europe/Berlin" or "UTC". It refuses, with ErrZone, what
// time.LoadLocation would take to mean the machine's own zone ("Local") or UTC (""), and paths of files.
func Zone(name string) (*time.Location, error) {
	l, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	return l.location, nil
}

// ZonePrint is the name of a zone with a fingerprint of its rules: it differs when another tz database has other rules for the
// zone. Errors are those of Zone.
func ZonePrint(name string) (string, error) {
	l, err := loadZone(name)
	if err != nil {
		return "", err
	}
	return l.print, nil
}

// ZoneData says which tz database is in use: its version, such as "2026f", empty when the folder named by ZONEINFO does not say, and
// where it comes from: "built in" or a folder.
func ZoneData() (version, origin string) {
	z := zones()
	return z.version, z.origin
}
