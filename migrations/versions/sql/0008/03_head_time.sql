-- Times never fall, so every append takes at least the time of the head: one that was dated 2099 would date all later
-- events. The constraint is checked where the append moves the head, once a group; log.append itself is as it was. It
-- compares with the clock, so it is never validated: a dump is restored whatever the clock says.
SET LOCAL ROLE daybook_owner;

ALTER TABLE log.logs ADD CONSTRAINT head_time_near_the_clock
    CHECK (recorded_at < clock_timestamp() + interval '1 day') NOT VALID;

RESET ROLE;
