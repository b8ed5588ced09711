use futures::{StreamExt, TryStreamExt};

use super::support::{SIZES, is_an_error};
use crate::fallible_stream::{NotANumber, lenient, strict};

#[tokio::test(start_paused = true)]
async fn any_number_of_lines() {
    is_an_error::<NotANumber>();
    for size in SIZES {
        let size = size as usize;
        let lines = vec!["1"; size];
        assert_eq!(strict(&lines).count().await, size);
        assert_eq!(lenient(&lines).count().await, size);
        let mut lines = lines;
        lines.push("x");
        lines.extend(["1"; 3]);
        let all: Vec<_> = strict(&lines).collect().await;
        assert_eq!(all.len(), size + 1, "the error is the last item");
        assert_eq!(all.last(), Some(&Err(NotANumber("x".to_owned()))));
        assert_eq!(lenient(&lines).count().await, size + 4);
        assert!(lenient(&lines).try_collect::<Vec<_>>().await.is_err());
    }
}
