"""What the owner of the database does about persons: erase them, and export what is known about them."""
