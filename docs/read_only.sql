-- Grants an application's role SELECT on the public tables and views of docs/tables.md, and on nothing else.
-- Run it as the owner of the tables, again after each upgrade:
--   psql "postgresql://USER:PASSWORD@HOST/DATABASE" -v role=my_application -f docs/read_only.sql
GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT ON
    changes,
    companies,
    company_segments,
    company_tags,
    contact_companies,
    contact_segments,
    contact_tags,
    contacts,
    data_attributes,
    segments,
    tags,
    active_companies,
    active_contacts,
    connected_users,
    contact_attributes,
    contact_redirects,
    sync_status
TO :"role";
