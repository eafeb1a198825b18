-- +goose Up
CREATE TABLE cancel_flow (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('cancel_flow') STORED,
  status text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT cancel_flow_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
ALTER TABLE cancel_flow SET (fillfactor = 50);
CREATE TABLE cancel_reason (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('cancel_reason') STORED,
  status text COLLATE "C" NOT NULL, flow_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT cancel_reason_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
ALTER TABLE cancel_reason SET (fillfactor = 50);
CREATE TABLE cancel_session (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('cancel_session') STORED,
  status text COLLATE "C" NOT NULL, customer_id text COLLATE "C" NOT NULL,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT cancel_session_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
ALTER TABLE cancel_session SET (fillfactor = 50);
CREATE INDEX cancel_flow_by_status ON cancel_flow (shop_id, status, id);
CREATE INDEX cancel_reason_by_flow ON cancel_reason (shop_id, flow_id, id);
CREATE INDEX cancel_session_by_customer ON cancel_session (shop_id, customer_id, id);
