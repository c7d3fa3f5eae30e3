"""Credentials of persons, outside the log: passwords, sessions, mail tokens, the second factor, API keys (ADR 0039).

Pure modules decide: password_rules, waits, rotation, totp_codes, recovery_codes, key_text, scopes, rates.
Stores keep rows by the role `daybook_credentials`: passwords, sessions, mail_tokens, second_factor, api_keys, attempts.
The stores block; an event loop calls them in a thread. `sweeper` repairs what a crash left.
"""
