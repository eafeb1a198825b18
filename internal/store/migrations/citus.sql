-- For a PostgreSQL cluster with Citus, after the ordinary migrations: `perennial migrate --citus`. Every table is spread by shop,
-- and what belongs to one shop lies together, so every statement of perennial goes to one node.
--
-- Citus makes no statement triggers on distributed tables: TRUNCATE is refused there by the grants alone. Row triggers need
-- citus.enable_unsafe_triggers, as Citus cannot know that ours look only at rows of the same shop. The constraint trigger that
-- asks at the commit is left out too; the closing of a batch asks the same of every batch that perennial writes.
CREATE EXTENSION IF NOT EXISTS citus;
--
SET citus.enable_unsafe_triggers = on;
--
DO $$
DECLARE
  t record;
  tables text[] := ARRAY[
    'event', 'tree_node', 'checkpoint', 'head', 'target_head', 'secret', 'data_key', 'reservation', 'idempotency', 'link', 'session', 'spent', 'saved_view', 'outbox', 'outbox_followed', 'lease', 'claim',
    'posting', 'name_word', 'followed', 'rollup', 'rollup_entry', 'rollup_state', 'rollup_reason', 'rollup_followed', 'subscription', 'customer', 'address', 'payment_method', 'order', 'product', 'variant',
    'selling_plan_group', 'selling_plan', 'discount', 'settings', 'team', 'team_member', 'api_key', 'cancel_flow', 'cancel_reason', 'cancel_session', 'notification_template'];
  name text;
BEGIN
  FOR t IN SELECT g.tgname, c.relname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND NOT g.tgisinternal AND (g.tgtype & 1 = 0 OR g.tgdeferrable)
  LOOP
    EXECUTE format('DROP TRIGGER %I ON public.%I', t.tgname, t.relname);
  END LOOP;
  FOREACH name IN ARRAY tables LOOP
    IF NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = format('public.%I', name)::regclass) THEN
      IF name = 'event' THEN
        PERFORM create_distributed_table('public.event', 'shop_id');
      ELSE
        PERFORM create_distributed_table(format('public.%I', name), 'shop_id', colocate_with => 'public.event');
      END IF;
    END IF;
  END LOOP;
END $$;
