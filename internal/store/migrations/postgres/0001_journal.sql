-- +goose Up
-- The journal: append only.
CREATE TABLE event (
  shop_id         text COLLATE "C" NOT NULL,
  seq             bigint NOT NULL,
  recorded_at     text COLLATE "C" NOT NULL,
  type            text COLLATE "C" NOT NULL,
  target_kind     text COLLATE "C" NOT NULL,
  target_id       text COLLATE "C" NOT NULL,
  target_version  bigint NOT NULL,
  target_prev_seq bigint,
  leaf_hash       bytea NOT NULL,
  body            text NOT NULL,
  boxes           bytea NOT NULL,
  PRIMARY KEY (shop_id, seq),
  CONSTRAINT event_entry UNIQUE (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE tree_node (
  shop_id text COLLATE "C" NOT NULL,
  level   bigint NOT NULL,
  idx     bigint NOT NULL,
  hash    bytea NOT NULL,
  PRIMARY KEY (shop_id, level, idx)
);

CREATE TABLE checkpoint (
  shop_id   text COLLATE "C" NOT NULL,
  size      bigint NOT NULL,
  root      bytea NOT NULL,
  note      text NOT NULL,
  signed_at text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, size)
);

-- The head of each shop's journal. Its row is the shop's lock.
CREATE TABLE head (
  shop_id     text COLLATE "C" NOT NULL,
  seq         bigint NOT NULL,
  recorded_at text COLLATE "C" NOT NULL,
  edge        bytea NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  moved_to    text,
  PRIMARY KEY (shop_id)
);

-- Targets that are only observed.
CREATE TABLE target_head (
  shop_id  text COLLATE "C" NOT NULL,
  kind     text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  version  bigint NOT NULL,
  last_seq bigint NOT NULL,
  PRIMARY KEY (shop_id, kind, id),
  CONSTRAINT target_head_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE secret (
  shop_id    text COLLATE "C" NOT NULL,
  owner_kind text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL,
  version    bigint NOT NULL,
  last_seq   bigint NOT NULL,
  salt       bytea NOT NULL,
  value      bytea NOT NULL,
  PRIMARY KEY (shop_id, owner_kind, owner_id, name),
  CONSTRAINT secret_entry FOREIGN KEY (shop_id, last_seq, owner_kind, owner_id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

-- Machinery.
CREATE TABLE data_key (
  shop_id      text COLLATE "C" NOT NULL,
  id           text COLLATE "C" NOT NULL,
  class        text COLLATE "C" NOT NULL,
  wrapped      bytea,
  created_at   text COLLATE "C" NOT NULL,
  destroyed_at text COLLATE "C",
  PRIMARY KEY (shop_id, id)
);

CREATE TABLE reservation (
  shop_id text COLLATE "C" NOT NULL,
  scope   text COLLATE "C" NOT NULL,
  hash    bytea NOT NULL,
  owner   text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, scope, hash)
);

CREATE TABLE idempotency (
  shop_id      text COLLATE "C" NOT NULL,
  caller_key   bytea NOT NULL,
  request_hash bytea NOT NULL,
  key_id       text COLLATE "C" NOT NULL,
  answer       bytea NOT NULL,
  created_at   text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, caller_key)
);

CREATE TABLE link (
  shop_id    text COLLATE "C" NOT NULL,
  token_hash bytea NOT NULL,
  sign_in_id text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  used_at    text COLLATE "C",
  PRIMARY KEY (shop_id, token_hash)
);

-- States: one table for each kind of thing.
CREATE TABLE subscription (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('subscription') STORED,
  status text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL, due_date text COLLATE "C", next_billing_date text COLLATE "C", product_ids text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT subscription_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX subscription_customer ON subscription (shop_id, customer_id, id);
CREATE INDEX subscription_status ON subscription (shop_id, status, id);
CREATE INDEX subscription_due ON subscription (shop_id, due_date, id) WHERE due_date IS NOT NULL;
CREATE INDEX subscription_next ON subscription (shop_id, next_billing_date, id) WHERE next_billing_date IS NOT NULL;

CREATE TABLE customer (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('customer') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT customer_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE address (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('address') STORED,
  status text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT address_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX address_customer ON address (shop_id, customer_id, id);

CREATE TABLE payment_method (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('payment_method') STORED,
  status text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT payment_method_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX payment_method_customer ON payment_method (shop_id, customer_id, id);

CREATE TABLE "order" (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('order') STORED,
  status text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL, subscription_id text COLLATE "C" NOT NULL, open_attempt text COLLATE "C", paid bigint NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT order_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX order_customer ON "order" (shop_id, customer_id, id);
CREATE INDEX order_subscription ON "order" (shop_id, subscription_id, id);
CREATE INDEX order_open ON "order" (shop_id, id) WHERE open_attempt IS NOT NULL;

CREATE TABLE product (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('product') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT product_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE variant (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('variant') STORED,
  status text COLLATE "C" NOT NULL, product_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT variant_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX variant_product ON variant (shop_id, product_id, id);

CREATE TABLE selling_plan_group (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('selling_plan_group') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT selling_plan_group_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE selling_plan (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('selling_plan') STORED,
  status text COLLATE "C" NOT NULL, group_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT selling_plan_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
CREATE INDEX selling_plan_group_id ON selling_plan (shop_id, group_id, id);

CREATE TABLE discount (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('discount') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT discount_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE settings (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('settings') STORED,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT settings_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE team (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('team') STORED,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT team_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE team_member (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('team_member') STORED,
  status text COLLATE "C" NOT NULL, role text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT team_member_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

CREATE TABLE api_key (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('api_key') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT api_key_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);

-- Work that several processes share: who does a job, and who has which thing in hand.
CREATE TABLE lease (
  shop_id text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  holder  text COLLATE "C" NOT NULL,
  until   timestamptz NOT NULL,
  PRIMARY KEY (shop_id, name)
);

CREATE TABLE claim (
  shop_id text COLLATE "C" NOT NULL,
  job     text COLLATE "C" NOT NULL,
  id      text COLLATE "C" NOT NULL,
  holder  text COLLATE "C" NOT NULL,
  until   timestamptz NOT NULL,
  PRIMARY KEY (shop_id, job, id)
);

-- Derived: the index. A row is a part of one facet's list: its first seq, and the distances to the next ones. A partition holds
-- 4,194,304 seqs; perennial_posting_partition makes one, and waits for nobody who writes.
CREATE TABLE posting (
  shop_id text COLLATE "C" NOT NULL,
  facet   bigint NOT NULL,
  seq     bigint NOT NULL,
  others  bytea NOT NULL,
  PRIMARY KEY (shop_id, facet, seq)
) PARTITION BY RANGE (seq);

-- +goose StatementBegin
CREATE FUNCTION perennial_posting_partition(n bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  part text := 'posting_' || n;
BEGIN
  IF n < 0 OR to_regclass('public.' || part) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('perennial_posting_partition'));
  IF to_regclass('public.' || part) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.posting INCLUDING ALL)', part);
  EXECUTE format('ALTER TABLE public.posting ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)', part, n * 4194304, (n + 1) * 4194304);
END $$;
-- +goose StatementEnd
SELECT perennial_posting_partition(0);
SELECT perennial_posting_partition(1);

CREATE TABLE name_word (
  shop_id text COLLATE "C" NOT NULL,
  word    text COLLATE "C" NOT NULL,
  id      text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, word, id)
);
CREATE INDEX name_word_id ON name_word (shop_id, id);

CREATE TABLE followed (
  shop_id   text COLLATE "C" NOT NULL,
  next      bigint NOT NULL,
  leaf_hash bytea NOT NULL,
  facets    bigint NOT NULL,
  PRIMARY KEY (shop_id)
);

-- Rows that are written again and again stay on their page when it has room, and then no index is touched.
ALTER TABLE subscription SET (fillfactor = 50);
ALTER TABLE customer SET (fillfactor = 50);
ALTER TABLE address SET (fillfactor = 50);
ALTER TABLE payment_method SET (fillfactor = 50);
ALTER TABLE "order" SET (fillfactor = 50);
ALTER TABLE product SET (fillfactor = 50);
ALTER TABLE variant SET (fillfactor = 50);
ALTER TABLE selling_plan_group SET (fillfactor = 50);
ALTER TABLE selling_plan SET (fillfactor = 50);
ALTER TABLE discount SET (fillfactor = 50);
ALTER TABLE settings SET (fillfactor = 50);
ALTER TABLE team SET (fillfactor = 50);
ALTER TABLE team_member SET (fillfactor = 50);
ALTER TABLE api_key SET (fillfactor = 50);
ALTER TABLE target_head SET (fillfactor = 50);
ALTER TABLE head SET (fillfactor = 50);
ALTER TABLE followed SET (fillfactor = 50);
