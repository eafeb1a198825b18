package archtest

// layers is the house, lowest first: a package may import what stands in the lines above its own, and of its own line
// only what the line says. "*" is anything; a path that ends in /... is that package and all below it. Packages of tests have no
// line: they import what they like, and only tests import them.
var layers = []layer{
	{name: "vocabulary", packages: "internal/id internal/money internal/civil internal/fault internal/plain", ordered: true,
		may: "", outside: ""},
	{name: "verifier", packages: "verify", // an auditor can read all of it
		may: "", outside: "golang.org/x/mod"},
	{name: "client", packages: "client", // anybody can copy it
		may: "", outside: "", clock: true},
	{name: "journal", packages: "internal/journal",
		may: "vocabulary", outside: "github.com/go-json-experiment/json", never: impure},
	{name: "proof", packages: "internal/seal internal/vault",
		may: "vocabulary", outside: "golang.org/x/mod"},
	{name: "domain", packages: "internal/settings internal/team internal/catalog internal/customer internal/subscription internal/message internal/cancelflow internal/billing internal/privacy", ordered: true,
		may: "vocabulary journal", outside: "github.com/yuin/goldmark", never: impure}, // of message alone
	{name: "observations", packages: "internal/observe",
		may: "vocabulary journal domain", outside: "github.com/go-json-experiment/json", never: impure},
	{name: "database", packages: "internal/db",
		may: "vocabulary", outside: "*"},
	{name: "gate", packages: "internal/gate",
		may: "vocabulary", outside: ""},
	{name: "store", packages: "internal/store",
		may: "vocabulary journal proof database", outside: "*"},
	{name: "program", packages: "internal/program", // it runs commands and knows none
		may: "vocabulary journal proof database gate store", outside: "*"},
	{name: "kinds", packages: "internal/kinds",
		may: "vocabulary journal domain store", outside: ""},
	{name: "lists", packages: "internal/query",
		may: "vocabulary journal domain store", outside: ""},
	{name: "acts", packages: "internal/act",
		may: "vocabulary journal domain", outside: "", never: impure},
	{name: "parts", packages: "internal/find/postings internal/follow internal/payment internal/auth internal/access",
		may: "*", outside: "*"},
	{name: "services", packages: "internal/find internal/payment/simulated internal/payment/stripe internal/mail internal/audit",
		may: "*", outside: "*"},
	{name: "views", packages: "internal/view",
		may: "*", outside: "*"},
	{name: "uses of services", packages: "internal/engine internal/analytics internal/move internal/backup",
		may: "*", outside: "*"},
	{name: "look", packages: "internal/web/ui/...", // knows no storage of the domain
		may: "vocabulary", outside: "*"},
	{name: "messages", packages: "internal/notify",
		may: "*", outside: "*"},
	{name: "faces", packages: "internal/api internal/web/dashboard internal/web/portal", // none is another's library
		may: "*", outside: "*", never: "internal/db"},
	{name: "generator of clients", packages: "internal/clientgen",
		may: "internal/api", outside: ""},
	{name: "metrics", packages: "internal/metrics", // what is below tells by observers of its own
		may: "", outside: "github.com/prometheus/client_golang"},
	{name: "server", packages: "internal/server",
		may: "*", outside: "*", clock: true},
	{name: "demo", packages: "internal/demo",
		may: "*", outside: "*"},
	{name: "benchmark", packages: "internal/bench/...",
		may: "*", outside: "*", clock: true},
	{name: "command line", packages: "internal/cli",
		may: "*", outside: "*", never: "internal/db", clock: true},
	{name: "main", packages: "cmd/perennial",
		may: "internal/cli", outside: "", clock: true},
}

// databases are the packages that hold SQL, and those that reach for the store's database at all. Whoever else wants a list asks query.
const (
	sqlPlaces      = "internal/db internal/store internal/query internal/find internal/find/postings internal/follow internal/analytics internal/audit internal/move internal/bench/..."
	databasePlaces = sqlPlaces + " internal/server"
)

// enginePlaces are the packages that ask which engine they run on.
const enginePlaces = "internal/db internal/store internal/follow internal/find internal/analytics internal/audit internal/server"

// impure is what a package that only decides has no use for: input, output, waiting, chance.
const impure = "context crypto/rand database/sql io/fs log log/slog math/rand math/rand/v2 net net/http os os/exec"

// homes says where a module may be imported, if that is one place only: the seam that lets us leave it again.
var homes = map[string]string{
	"filippo.io/age":                      "internal/backup",
	"github.com/alecthomas/kong":          "internal/cli",
	"github.com/bojanz/currency":          "internal/web/ui",
	"github.com/coreos/go-oidc/v3":        "internal/auth",
	"github.com/danielgtaylor/huma/v2":    "internal/api",
	"github.com/go-webauthn/webauthn":     "internal/auth",
	"github.com/wneessen/go-mail":         "internal/mail",
	"github.com/yuin/goldmark":            "internal/message",
	"github.com/emersion/go-msgauth":      "",
	"github.com/jackc/pgx/v5":             "internal/db",
	"github.com/pquerna/otp":              "internal/auth",
	"github.com/pressly/goose/v3":         "internal/store",
	"github.com/prometheus/client_golang": "internal/metrics",
	"github.com/stripe/stripe-go/v85":     "internal/payment/stripe",
	"golang.org/x/net":                    "",
	"golang.org/x/oauth2":                 "internal/auth",
	"golang.org/x/text":                   "internal/web/ui/lang internal/view",
	"modernc.org/libc":                    "",
	"modernc.org/sqlite":                  "internal/db internal/find/postings",
	"github.com/google/go-cmp":            "",
	"github.com/rogpeppe/go-internal":     "",
	"github.com/transparency-dev/formats": "",
	"github.com/transparency-dev/merkle":  "",
	"go.uber.org/goleak":                  "",
	"pgregory.net/rapid":                  "",
	"github.com/brianvoe/gofakeit/v7":     "internal/demo",
}

// router is the one package that routes requests: it takes no route without its row in the table of routes.
const router = "internal/access"

// emptyNames are names of packages that say nothing about what is in them.
var emptyNames = []string{"models", "types", "utils", "common", "helpers", "service", "repository", "manager", "impl"}
