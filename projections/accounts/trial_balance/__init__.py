"""The trial balance: debits and credits per currency and type of account. Per currency they are equal, always."""
