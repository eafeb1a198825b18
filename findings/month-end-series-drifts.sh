#!/usr/bin/env bash
# Needs: Node 20 with npm.
# Guess: a series of months from 31 January ends on the last day of each month, wherever it is made.
# Seen: DuckDB 1.5.6's generate_series adds to the date before, so it drifts to the 28th for good, while the date plus k months clamps
# each month on its own; rrule 2.8.1 (RFC 5545) leaves the short months out, so a monthly subscription would be billed 7 times a year.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @duckdb/node-api@1.5.6-r.1 rrule@2.8.1 >/dev/null
cat >series.mjs <<'END'
import { DuckDBInstance } from '@duckdb/node-api'
import rrule from 'rrule'

const db = await (await DuckDBInstance.create(':memory:')).connect()
const dates = async (q) => (await db.runAndReadAll(q)).getRows().map((r) => r[0]).join(' ')
const { RRule } = rrule
const from = `TIMESTAMP '2027-01-31'`
console.log('generate_series', await dates(`SELECT strftime(d, '%m-%d') FROM (SELECT unnest(generate_series(${from}, TIMESTAMP '2027-05-31', INTERVAL 1 MONTH)) AS d)`))
console.log('date + k months', await dates(`SELECT strftime(${from} + to_months(k::INT), '%m-%d') FROM range(5) AS t(k)`))
console.log('rrule', new RRule({ freq: RRule.MONTHLY, dtstart: new Date(Date.UTC(2027, 0, 31)), until: new Date(Date.UTC(2027, 11, 31)) }).all().map((d) => d.toISOString().slice(5, 10)).join(' '))
END
node series.mjs | tee seen
diff seen - <<'END'
generate_series 01-31 02-28 03-28 04-28 05-28
date + k months 01-31 02-28 03-31 04-30 05-31
rrule 01-31 03-31 05-31 07-31 08-31 10-31 12-31
END
