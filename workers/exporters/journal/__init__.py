"""The books as a text journal for hledger, ledger or beancount."""
